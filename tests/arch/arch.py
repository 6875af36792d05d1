#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The rules of the tree that a compiler does not see: who may include, link and call what.

    arch.py SOURCE_ROOT BUILD_ROOT     prints TAP

Every rule is a function from the tree to the list of its violations. Each is tried twice:
on the tree, where it must find nothing, and on a tree with one violation planted, where
it must find something; a rule that cannot fail is no rule.
"""
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
SYSTEM = {"assert.h", "ctype.h", "errno.h", "float.h", "inttypes.h", "swm_limits.h", "math.h",
          "stdalign.h", "stdarg.h", "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h",
          "stdio.h", "stdlib.h", "string.h", "time.h"}
PURE = SYSTEM - {"errno.h", "stdatomic.h"}
# Which of our folders a folder may include from (quoted), and what else (in brackets).
FOLDERS = {
    "core/domain": (["core/domain"], PURE | {"swm/types.h", "jansson.h", "sha2.h"}),
    "core/engine": (["core/engine", "core/domain"],
                    SYSTEM - {"time.h"} | {"swm/types.h", "swm/queue.h", "swm/store.h",
                                           "swm/plugin.h", "jansson.h"}),
    "core/simulator": (["core/simulator", "core/engine", "core/domain"],
                       SYSTEM - {"time.h"} | {"swm/types.h", "swm/queue.h", "swm/store.h",
                                              "jansson.h", "setjmp.h", "ucontext.h",
                                              "sanitizer/common_interface_defs.h"}),
    "core/host": (["core/host", "core/simulator", "core/engine", "core/domain"], None),
    "ports/swm": ([], {"stdbool.h", "stddef.h", "stdint.h", "swm/types.h", "swm/plugin.h"}),
}
TARGETS = ("executable", "library", "static_library", "shared_library", "both_libraries",
           "shared_module", "custom_target", "run_target", "test", "benchmark")
# jansson and libmd are the core's; the rest is the C library and what compilers add.
LINKED = ("libjansson.", "libmd.", "libc.", "libm.", "libdl.", "libpthread.", "libgcc_s.",
          "ld-linux", "libasan.", "libubsan.", "libtsan.", "libstdc++.")
ADDED = re.compile(r"^(__(asan|ubsan|tsan|sanitizer|lsan|gcov|start|stop)_|_GLOBAL_OFFSET_TABLE_$"
                   r"|__stack_chk_fail$|__assert_fail$|__tls_get_addr$|__cyg_profile)")


class Tree:
    """What the rules look at; a copy may be changed to plant a violation."""

    def __init__(self, root, build):
        self.texts = {}
        for pattern in ("core/**/*", "ports/**/*", "plugins/**/*", "tests/**/*", "meson.build"):
            for path in root.glob(pattern):
                if path.is_file() and (path.suffix in (".c", ".h", ".py", ".sh") or
                                       path.name == "meson.build"):
                    self.texts[str(path.relative_to(root))] = path.read_text()
        self.needs, self.defines, self.sections = {}, {}, {}
        for name in ("domain", "engine", "simulator"):
            archive = build / "core" / name / f"lib{name}.a"
            self.needs[name], self.defines[name] = symbols(archive)
            self.sections[name] = run("objdump", "-t", str(archive))
        self.needed = re.findall(r"NEEDED.*\[(.*)\]", run(
            "readelf", "-d", str(build / "core" / "host" / "swm")))

    def copy(self):
        other = object.__new__(Tree)
        for key, value in vars(self).items():
            setattr(other, key, value.copy())
        return other

    def under(self, folder, *suffixes):
        return [(path, text) for path, text in sorted(self.texts.items())
                if path.startswith(folder + "/") and path.endswith(suffixes)]


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def symbols(archive):
    """(undefined, defined) names; a fortified call counts as the plain one."""
    undefined, defined = set(), set()
    for line in run("nm", str(archive)).splitlines():
        found = re.match(r"\s*[0-9a-f]*\s+([A-Za-z])\s+(\S+)$", line)
        if found and found[1] == "U":
            undefined.add(re.sub(r"^__(\w+)_chk$", r"\1", found[2]))
        elif found and found[1] in "TDBRVW":
            defined.add(found[2])
    return undefined - defined, defined


def allowed(name):
    lines = (HERE / f"{name}-symbols.txt").read_text().splitlines()
    return {word for line in lines if not line.startswith("#") for word in line.split()}


def includes(text):
    return re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', text, re.MULTILINE)


# The rules


def domain_symbols(tree):
    """the domain calls nothing but what domain-symbols.txt lists"""
    return sorted(name for name in tree.needs["domain"] - allowed("domain")
                  if not ADDED.match(name))


def engine_symbols(tree):
    """the engine calls nothing but the domain and what engine-symbols.txt lists"""
    needs = tree.needs["engine"] - tree.defines["domain"] - allowed("engine")
    return sorted(name for name in needs if not ADDED.match(name))


def simulator_symbols(tree):
    """the simulator calls nothing but what lies below it and simulator-symbols.txt lists"""
    needs = tree.needs["simulator"] - tree.defines["domain"] - tree.defines["engine"]
    return sorted(name for name in needs - allowed("simulator") if not ADDED.match(name))


def no_mutable_globals(tree):
    """domain, engine and simulator have no mutable globals"""
    found = []
    for name, table in tree.sections.items():
        if "asan" in table or "tsan" in table:
            continue  # their own counters; the plain build tells
        for section, symbol in re.findall(
                r"\bO (\.t?bss\S*|\.t?data\S*)\s+[0-9a-f]+\s+(?:\.hidden )?(\S+)$", table,
                re.MULTILINE):
            if ".rel.ro" not in section:
                found.append(f"{name}: {symbol} in {section}")
    return found


def folder_includes(tree):
    """domain, engine, host and ports include only what lies below them"""
    found = []
    for folder, (ours, others) in FOLDERS.items():
        for path, text in tree.under(folder, ".c", ".h"):
            for bracket, name in includes(text):
                if bracket == '"':
                    good = any(f"{other}/{name}" in tree.texts for other in ours)
                else:
                    good = others is None or name in others
                if not good:
                    found.append(f"{path} includes {name}")
    return found


def model_is_alone(tree):
    """the reference model includes nothing of domain and engine"""
    good = {"model.h", "must.h", "jansson.h", "swm/types.h"} | SYSTEM
    files = ("/model.c", "/model_asked.c", "/model.h", "/must.h")
    return [f"{path} includes {name}" for path, text in tree.under("core/simulator", ".c", ".h")
            if path.endswith(files) for _, name in includes(text) if name not in good]


def plugin_includes(tree):
    """plugins include their own folder, plugins/common and the ports, never the core"""
    core = {path.rsplit("/", 1)[1] for path, _ in tree.under("core", ".h")} - SYSTEM
    found = []
    for path, text in tree.under("plugins", ".c", ".h"):
        folder = "/".join(path.split("/")[:2])
        for bracket, name in includes(text):
            own = f"{folder}/{name}" in tree.texts or f"plugins/common/{name}" in tree.texts
            if (bracket == '"' and not own) or (bracket == "<" and name in core) or \
                    name.startswith(("core/", "jansson")):
                found.append(f"{path} includes {name}")
    return found


def no_dots_in_includes(tree):
    """no include path climbs with .."""
    return [f"{path} includes {name}" for path, text in tree.texts.items()
            if path.endswith((".c", ".h")) for _, name in includes(text) if ".." in name]


def one_dlopen(tree):
    """dlopen and dlsym occur in one file of the host"""
    files = [path for folder in ("core", "plugins", "ports")
             for path, text in tree.under(folder, ".c", ".h")
             if re.search(r"\bdl(m?open|v?sym)\s*\(", text)]
    return [] if len(files) == 1 and files[0].startswith("core/host/") else \
        [f"dlopen in {files}"]


def no_client_library(tree):
    """swm is linked to no client library"""
    return [name for name in tree.needed if not name.startswith(LINKED)]


def no_client_in_core(tree):
    """core's build files name no client library and no plugin"""
    return [f"{path}: {word}" for path, text in tree.under("core", "meson.build")
            for word in re.findall(r"sqlite\w*|libpq|mongo\w*|rabbit\w*|rdkafka|curl|plugin_\w+_dep",
                                   text)]


def no_core_in_plugins(tree):
    """plugins are built without the core"""
    return [f"{path}: {word}" for path, text in tree.under("plugins", "meson.build")
            for word in re.findall(r"\b(?:domain|engine|host|env_posix)_(?:dep|lib|inc)\b|jansson",
                                   text)]


def no_targets_in_root(tree):
    """the root meson.build defines no targets"""
    return re.findall(r"^\s*(?:\w+\s*=\s*)?((?:%s)\s*\()" % "|".join(TARGETS),
                      tree.texts["meson.build"], re.MULTILINE)


def no_implicit_includes(tree):
    """each target says implicit_include_directories: false"""
    found = []
    for folder in ("core", "plugins"):
        for path, text in tree.under(folder, "meson.build"):
            targets = re.findall(r"\b(?:executable|static_library|shared_module|shared_library)\(",
                                 text)
            said = text.count("implicit_include_directories: false")
            if said != len(targets):
                found.append(f"{path}: {len(targets)} targets, {said} say it")
    return found


def licence_lines(tree):
    """every source begins with its SPDX line"""
    return [path for path, text in tree.texts.items()
            if not path.endswith("meson.build") and
            "SPDX-License-Identifier: MIT" not in "\n".join(text.splitlines()[:3])]


def no_json_in_ports(tree):
    """no jansson type crosses a port"""
    return [path for path, text in tree.under("ports", ".h") if re.search(r"\bjson_t\b", text)]


def no_other_reader(tree):
    """JSON is read by core/domain/json_parse.c alone, which survives out of memory"""
    return [path for path, text in tree.under("core", ".c", ".h")
            if re.search(r"\bjson_(load|unpack)\w*\s*\(", text)]


# What is planted to see each rule fail


def plant(path, text):
    def change(tree):
        tree.texts[path] = text if path not in tree.texts else tree.texts[path] + text
    return change


def plant_symbol(name, symbol):
    def change(tree):
        tree.needs[name] = tree.needs[name] | {symbol}
    return change


def plant_global(tree):
    tree.sections["domain"] = "0000 l     O .bss\t0000000000000008 counter\n"


def plant_library(tree):
    tree.needed = tree.needed + ["libsqlite3.so.0"]


RULES = (
    (domain_symbols, (plant_symbol("domain", "clock_gettime"), plant_symbol("domain", "fopen"))),
    (engine_symbols, (plant_symbol("engine", "pthread_create"), plant_symbol("engine", "time"))),
    (simulator_symbols, (plant_symbol("simulator", "clock_gettime"),
                         plant_symbol("simulator", "rand"),
                         plant_symbol("simulator", "pthread_create"))),
    (no_mutable_globals, (plant_global,)),
    (folder_includes, (
        plant("core/domain/x.c", "#include <pthread.h>\n"),
        plant("core/domain/x.c", "#include <swm/store.h>\n"),
        plant("core/domain/x.c", '#include "engine.h"\n'),
        plant("core/engine/x.c", '#include "loader.h"\n'),
        plant("core/engine/x.c", "#include <time.h>\n"),
        plant("ports/swm/x.h", "#include <jansson.h>\n"))),
    (model_is_alone, (plant("core/simulator/model.c", '#include "instance.h"\n'),
                      plant("core/simulator/model.h", "#include <swm/store.h>\n"))),
    (plugin_includes, (
        plant("plugins/store-sqlite/x.c", '#include "text.h"\n'),
        plant("plugins/store-sqlite/x.c", "#include <event.h>\n"))),
    (no_dots_in_includes, (plant("core/engine/x.c", '#include "../domain/text.h"\n'),)),
    (one_dlopen, (plant("core/engine/x.c", "\tvoid *so = dlopen(path, 2);\n"),)),
    (no_client_library, (plant_library,)),
    (no_client_in_core, (plant("core/engine/meson.build", "dependencies: sqlite3,\n"),)),
    (no_core_in_plugins, (plant("plugins/common/meson.build", "dependencies: domain_dep,\n"),)),
    (no_targets_in_root, (plant("meson.build", "\nexecutable('x', 'x.c')\n"),
                          plant("meson.build", "\nx = static_library('x', 'x.c')\n"))),
    (no_implicit_includes, (plant("core/domain/meson.build", "\nstatic_library('x', 'x.c')\n"),)),
    (licence_lines, (plant("core/domain/x.c", "int x;\n"),)),
    (no_other_reader, (plant("core/host/x.c", "\tjson_t *v = json_loads(text, 0, NULL);\n"),)),
    (no_json_in_ports, (plant("ports/swm/x.h", "struct x { json_t *value; };\n"),)),
)


def main():
    tree = Tree(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
    results = []
    for rule, violations in RULES:
        found = rule(tree)
        results.append((not found, rule.__doc__, found))
        caught = []
        for change in violations:
            planted = tree.copy()
            change(planted)
            caught.append(len(rule(planted)) > len(found))
        results.append((all(caught), f"a violation is found of: {rule.__doc__}", caught))
    print(f"1..{len(results)}")
    for number, (good, name, found) in enumerate(results, 1):
        print(f"{'ok' if good else 'not ok'} {number} - {name}")
        if not good:
            for item in found:
                print(f"# {item}")
                print(f"{name}: {item}", file=sys.stderr)
    return 0 if all(good for good, _, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
