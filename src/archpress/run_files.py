"""What the files in the folder of a run are called. Needs no torch."""

STORE_FILE = "trials.db"
PLAN_FILE = "run.json"  # what is asked for
SOURCE_FILE = "source.json"
COMPRESSED_FILE = "compressed.json"
RESULT_FILE = "result.json"
