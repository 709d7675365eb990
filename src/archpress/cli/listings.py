"""What is known by name: `archpress data`, `archpress zoo`."""

from dataclasses import asdict

from archpress.architecture.shape_rules import format_shape
from archpress.cli.arguments import costs
from archpress.cli.options import JsonOption
from archpress.cli.printing import console, print_json


def data(as_json: JsonOption = False) -> None:
    """List the named sets of images, and where they are or how to get them."""
    from archpress.data import list_named
    from archpress.terminal import table

    listings = list_named()
    if as_json:
        print_json([asdict(one) for one in listings])
        return
    rows = [
        [
            one.name,
            format_shape(one.input_shape),
            str(one.classes),
            f"{one.train_images:,} + {one.test_images:,}",
            ("here: " if one.present else "missing: ") + str(one.where),
        ]
        for one in listings
    ]
    console().print(table("", ["name", "image", "classes", "train + test", "where"], rows))


def zoo(as_json: JsonOption = False) -> None:
    """List the nets that are known by name."""
    from archpress.architecture import ZOO, named
    from archpress.terminal import table

    nets = {name: named(name) for name in ZOO}
    if as_json:
        print_json({name: costs(net) for name, net in nets.items()})
        return
    rows = [
        [name, f"{net.parameters:,}", f"{net.macs:,}", ZOO[name].about]
        for name, net in nets.items()
    ]
    console().print(table("", ["name", "parameters", "multiply-adds", "about"], rows))
