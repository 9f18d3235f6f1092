// Runs inference-lab's published package on a configuration; prints what the simulation took and a few results as JSON.
// node peer_inference_lab.mjs FOLDER_OF_THE_PACKAGE CONFIGURATION

import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [folder, configuration] = process.argv.slice(2);
const peer = await import(pathToFileURL(path.resolve(folder, "inference_lab.js")).href);
peer.initSync({ module: fs.readFileSync(path.join(folder, "inference_lab_bg.wasm")) });

const before = process.cpuUsage();
const { metrics } = peer.run_simulation(configuration);
const { user, system } = process.cpuUsage(before);
console.log(
  JSON.stringify({
    cpu_s: (user + system) / 1e6,
    completed: metrics.completed_requests,
    itl_ms: metrics.per_token_mean,
    latency_ms: metrics.e2e_mean,
  }),
);
