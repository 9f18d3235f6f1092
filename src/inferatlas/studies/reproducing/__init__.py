"""Studies reproduced: theirs beside ours, guidelines tested, open questions answered.

In: the ledgers, the model, the laboratory. Out: `study.Study`. A package per paper (``sharma``, ``park``,
``brunetta``) makes exhibits and tests guidelines; ``questions`` answers what the papers leave open.
"""
