"""The files of the live page: text that does not change while it is watched."""

from archpress.report.templates import templates
from archpress.report.themes import THEMES


def page_files(name: str) -> dict[str, tuple[str, bytes]]:
    """Path -> type and content.

    Args:
        name: of the run folder, for people.
    """
    environment = templates("archpress.watching")
    kinds = {
        "watch.html": "text/html",
        "watch.css": "text/css",
        "watch.js": "text/javascript",
        "charts.js": "text/javascript",
        "explore.js": "text/javascript",
        "saving.js": "text/javascript",
    }
    files = {
        f"/{file}": (
            f"{kind}; charset=utf-8",
            environment.get_template(file).render(name=name, themes=THEMES).encode(),
        )
        for file, kind in kinds.items()
    }
    files["/"] = files.pop("/watch.html")
    return files
