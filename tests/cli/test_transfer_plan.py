"""What makes one tree like another, before anything is done."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portside.cli.transfer_plan import Node, Step, Tree, plan, undecided

S = 1_000_000_000
FILE = Node("file", 1, 10 * S)
DIRECTORY = Node("directory")


def actions(steps: list[Step]) -> list[str]:
    return [f"{step.action} {step.path}" for step in steps]


def test_directories_are_made_before_what_is_in_them_and_files_come_last() -> None:
    source = {"b": FILE, "a": DIRECTORY, "a/c": FILE, "a/d": DIRECTORY}
    steps = plan(source, {}, delete=False)
    assert actions(steps) == ["make_directory a", "make_directory a/d", "copy b", "copy a/c"]
    assert {step.why for step in steps if step.action == "copy"} == {"new"}


def test_a_file_is_copied_that_is_of_another_size_or_newer() -> None:
    target = dict.fromkeys(("same", "older", "newer", "other", "within the second"), FILE)
    source = {
        "same": FILE,
        "older": Node("file", 1, 9 * S),
        "newer": Node("file", 1, 11 * S),
        "other": Node("file", 2, 9 * S),
        "within the second": Node("file", 1, 10 * S + 999_999_999),  # no server tells more of a time than seconds
    }
    steps = plan(source, target, delete=True)
    assert [(step.path, step.why) for step in steps] == [("newer", "newer"), ("other", "size")]


def test_times_that_are_not_exact_decide_nothing_and_are_named() -> None:
    coarse = Node("file", 1, 99 * S, is_exact=False)
    unknown = Node("file", 1, None)
    source = {"coarse": coarse, "unknown": unknown, "larger": Node("file", 2, 99 * S, is_exact=False), "fine": FILE}
    target = dict.fromkeys(source, FILE)
    assert actions(plan(source, target, delete=True)) == ["copy larger"]
    assert list(undecided(source, target)) == ["coarse"]
    assert list(undecided(target, source)) == ["coarse"]


def test_nothing_is_removed_unless_that_is_asked_for() -> None:
    target = {"old": FILE, "d": DIRECTORY, "d/e": DIRECTORY, "d/e/f": FILE}
    assert plan({}, target, delete=False) == []
    steps = plan({"new": FILE}, target, delete=True)
    assert actions(steps) == ["copy new", "delete d/e/f", "remove_directory d/e", "remove_directory d", "delete old"]


def test_what_is_left_of_an_interrupted_file_stays_while_the_file_is_wanted() -> None:
    target = {"a.part": FILE, "gone.part": FILE}
    assert actions(plan({"a": FILE}, target, delete=True, partial_suffix=".part")) == ["copy a", "delete gone.part"]


def test_links_and_other_things_are_left_out_with_a_word() -> None:
    steps = plan({"l": Node("link"), "o": Node("other")}, {}, delete=True)
    assert [(step.action, step.path, step.why) for step in steps] == [
        ("skip", "l", "it is a link"),
        ("skip", "o", "it is neither file nor directory"),
    ]


def test_what_is_of_another_kind_is_replaced_only_where_deleting_is_asked_for() -> None:
    source = {"a": FILE, "b": DIRECTORY, "b/c": FILE, "l": FILE}
    target = {"a": DIRECTORY, "a/x": DIRECTORY, "a/x/y": FILE, "b": FILE, "l": Node("link")}
    assert actions(plan(source, target, delete=False)) == ["conflict a", "conflict b", "conflict l"]
    assert actions(plan(source, target, delete=True)) == [
        *("delete a/x/y", "remove_directory a/x", "remove_directory a", "delete b", "delete l"),
        *("make_directory b", "copy a", "copy b/c", "copy l"),
    ]


# ── whatever the trees are ───────────────────────────────────────────────────────────────────────────────────────────

LEAVES = st.one_of(
    st.builds(Node, st.just("file"), st.integers(0, 2), st.integers(0, 2).map(lambda s: s * S)),
    st.sampled_from([Node("link"), Node("other")]),
)
NAMES = st.sampled_from(["a", "b", "c", "a.part"])
FOLDERS = st.recursive(
    st.dictionaries(NAMES, LEAVES, max_size=3),
    lambda folders: st.dictionaries(NAMES, st.one_of(LEAVES, folders), max_size=3),
    max_leaves=8,
)


def tree_of(folder: dict[str, object], above: str = "") -> dict[str, Node]:
    tree: dict[str, Node] = {}
    for name, inside in folder.items():
        path = f"{above}/{name}" if above else name
        tree[path] = DIRECTORY if isinstance(inside, dict) else inside  # type: ignore[assignment]
        if isinstance(inside, dict):
            tree |= tree_of(inside, path)
    return tree


def carried_out(steps: list[Step], source: Tree, target: Tree) -> dict[str, Node]:
    """Return the target after the steps, each of which must be possible when its turn comes."""
    tree = dict(target)
    for step in steps:
        above = step.path.rpartition("/")[0]
        match step.action:
            case "delete":
                assert tree.pop(step.path).kind != "directory"
            case "remove_directory":
                assert tree.pop(step.path).kind == "directory"
                assert not [path for path in tree if path.startswith(f"{step.path}/")]
            case "make_directory":
                assert step.path not in tree
                assert not above or tree[above].kind == "directory"
                tree[step.path] = DIRECTORY
            case "copy":
                assert not above or tree[above].kind == "directory"
                assert step.path not in tree or tree[step.path].kind == "file"
                tree[step.path] = source[step.path]
            case _:
                continue
    return tree


@given(FOLDERS, FOLDERS)
def test_with_delete_the_target_becomes_the_source(left: dict[str, object], right: dict[str, object]) -> None:
    source, target = tree_of(left), tree_of(right)
    result = carried_out(plan(source, target, delete=True), source, target)
    wanted = {path: node for path, node in source.items() if node.kind in ("file", "directory")}
    odd = {path for path, node in source.items() if node.kind not in ("file", "directory")}
    left_out = {path for path in target if any(path == one or path.startswith(f"{one}/") for one in odd)}
    assert set(result) == set(wanted) | left_out
    for path, node in wanted.items():
        assert result[path].kind == node.kind
        assert result[path].size_bytes == node.size_bytes
        assert (result[path].modified_ns or 0) >= (node.modified_ns or 0)


@given(FOLDERS, FOLDERS)
def test_without_delete_nothing_is_lost(left: dict[str, object], right: dict[str, object]) -> None:
    source, target = tree_of(left), tree_of(right)
    steps = plan(source, target, delete=False)
    assert {step.action for step in steps} <= {"make_directory", "copy", "skip", "conflict"}
    result = carried_out(steps, source, target)
    assert {path: node.kind for path, node in target.items()}.items() <= {
        path: node.kind for path, node in result.items()
    }.items()


@given(FOLDERS)
def test_a_tree_is_like_itself(folder: dict[str, object]) -> None:
    tree = tree_of(folder)
    assert {step.action for step in plan(tree, tree, delete=True)} <= {"skip"}
