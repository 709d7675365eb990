"""The files of the live page: text that does not change while it is watched."""

from archpress.report.themes import THEMES


def page_files(name: str) -> dict[str, tuple[str, bytes]]:
    """Path -> type and content.

    Args:
        name: of the run folder, for people.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    packages = ("archpress.watching", "archpress.report")
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
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
