"""What the files in the folder of a run are called. Needs no torch."""

STORE_FILE = "trials.db"
PLAN_FILE = "run.json"  # what is asked for
SOURCE_FILE = "source.json"
JOURNAL_FILE = "search.jsonl"  # what the search decided
COMPRESSED_FILE = "compressed.json"
CODE_FILE = "network.py"
WEIGHTS_FILE = "weights.safetensors"
TORCH_WEIGHTS_FILE = "weights.pt"
RESULT_FILE = "result.json"
REPORT_FILE = "report.html"
