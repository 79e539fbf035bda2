"""Documents the versions of the store's tables, from the migrations that make them."""

from alembic.script import ScriptDirectory

from docs.generate.markdown import described, table
from oicp_adapter.store.migrate import migrations


def versions() -> str:
    """Return a table of all versions, the oldest first."""
    return versions_of(migrations())


def versions_of(scripts: ScriptDirectory) -> str:
    """Return the table for these migrations."""
    newest_first = list(scripts.walk_revisions())
    rows = [[f"`{each.revision}`", described(f"migration {each.revision}", each.longdoc)] for each in newest_first]
    return table(["version", "what it does"], reversed(rows))
