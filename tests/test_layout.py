"""The layout that CONTRIBUTING describes, checked on the imports of `src`."""

import ast
import graphlib
import re
import subprocess
import sys

import pytest

LONGEST_FILE, LONGEST_FUNCTION = 300, 60
# The modules at the top of `src`: commands, and 2018's iterators.
COMMANDS = "commands"


def modules(repository):
    """Yields (dotted name, path) of each module of `src`."""
    for path in sorted((repository / "src").rglob("*.py")):
        yield ".".join(path.relative_to(repository).with_suffix("").parts), path


def imported_modules(path):
    """The names of all modules that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.fixture(scope="module")
def imports(repository):
    """Module of `src` → the modules of `src` that it imports."""
    known = {name.removesuffix(".__init__"): path for name, path in modules(repository)}
    return {name: set(imported_modules(path)) & set(known) for name, path in known.items()}


def package_graph(imports):
    """Package → the other packages that it imports."""
    packages = {module.split(".")[1] for module in imports if module.count(".") > 1}

    def package_of(module):
        name = module.split(".")[1]
        return name if name in packages else COMMANDS

    graph = {}
    for module in imports.keys() - {"src"}:
        used = {package_of(other) for other in imports[module] - {"src"}}
        graph.setdefault(package_of(module), set()).update(used - {package_of(module)})
    return graph


def assert_no_cycle(graph):
    try:
        list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail("import cycle: " + " → ".join(error.args[1][::-1]))


def test_packages_import_in_one_direction(imports):
    graph = package_graph(imports)
    assert_no_cycle(graph)
    assert len(graph) > 10
    assert graph["common"] == set()
    assert not [package for package, used in graph.items() if COMMANDS in used]


def test_modules_import_in_one_direction(imports):
    assert_no_cycle(imports)


def test_contributing_gives_the_order_of_the_packages(repository, imports):
    text = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^ *(commands → .* → common)$", text, re.MULTILINE)
    levels = [part.split(", ") for part in line.split(" → ")]
    level = {package: number for number, names in enumerate(levels) for package in names}
    graph = package_graph(imports)
    assert set(level) == set(graph)
    wrong = [
        f"{package} imports {used}"
        for package in graph
        for used in graph[package]
        if level[used] < level[package]
    ]
    assert not wrong


def test_a_cycle_would_be_found():
    with pytest.raises(pytest.fail.Exception, match=r"(common|graphs|formats) → "):
        assert_no_cycle({"common": {"graphs"}, "graphs": {"formats"}, "formats": {"common"}})
    graph = package_graph({"src.a": set(), "src.a.x": {"src.b.y"}, "src.b.y": {"src.c"}})
    assert graph == {"a": {"b"}, "b": {COMMANDS}}


def test_training_knows_no_iterator_and_data_no_evaluation(imports):
    graph = package_graph(imports)
    assert "loading" not in graph["training"]
    assert "eval" not in graph["data"]


def test_the_modules_of_2018_that_only_forward_are_not_used_in_src(imports):
    forwarding = {
        name
        for name, used in imports.items()
        if "src.common.forwarding" in used and name.startswith("src.common.")
    }
    assert forwarding == {"src.common.face_image", "src.common.face_preprocess"}
    thin = forwarding | {"src.image_iter", "src.triplet_image_iter"}
    assert not [name for name, used in imports.items() if used & thin]


def test_mxnet_is_imported_in_one_place(repository):
    direct = [
        module
        for module, path in modules(repository)
        if any(name.split(".")[0] == "mxnet" for name in imported_modules(path))
    ]
    assert direct == ["src.common.mxnet_backend"]


def test_no_module_shadows_one_of_python_or_of_a_dependency(repository):
    """`cd src && python train_softmax.py` puts that folder first on the path."""
    others = set(sys.stdlib_module_names) | {"mxnet", "numpy", "cv2", "sklearn", "skimage", "PIL"}
    others |= {"easydict", "joblib", "tqdm", "scipy", "mtcnn", "matplotlib", "graphviz", "lz4"}
    names = {path.stem for _, path in modules(repository)} - {"__init__", "__main__"}
    names |= {path.name for path in (repository / "src").iterdir() if path.is_dir()}
    assert not names & others


def test_files_and_functions_are_short(repository):
    long = []
    for _, path in modules(repository):
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(repository)
        if (count := len(text.splitlines())) > LONGEST_FILE:
            long.append(f"{name}: {count} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = node.end_lineno - node.lineno + 1
                if count > LONGEST_FUNCTION:
                    long.append(f"{name}:{node.lineno} {node.name}: {count} lines")
    assert not long


def test_no_file_contains_a_path_of_a_machine(repository):
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=repository, capture_output=True, text=True, check=True
    ).stdout.split()
    pattern = re.compile(r"/(?:root|home/\w+|opt/\w+)/|\bfiles\.pythonhosted\b")
    found = []
    for name in tracked:
        path = repository / name
        if path.suffix in (".py", ".sh", ".md", ".toml", ".txt") and path.exists():
            text = path.read_text(encoding="utf-8")
            found += [f"{name}: {match[0]}" for match in pattern.finditer(text)]
    assert not [line for line in found if not line.startswith("tests/test_layout.py")]


def test_importing_prints_configures_and_parses_nothing(imports):
    names = sorted(name for name in imports if not name.endswith("__main__"))
    script = "import logging, sys\nsys.argv = ['program', '--no-such-flag']\n"
    script += "".join(f"import {name}\n" for name in names)
    script += "print(logging.getLogger().handlers)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
    assert done.stderr == ""
