"""``inferatlas --install-completion``: in a file of its own, since its imports would slow every start by a tenth."""

from __future__ import annotations

from cyclopts.completion.install import create_install_completion_command

from inferatlas.cli.main import app

install = create_install_completion_command(app.install_completion, add_to_startup=True)
