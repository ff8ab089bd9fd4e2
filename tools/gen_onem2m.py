#!/usr/bin/env python3
"""Make onem2m/tables.h and tables.c from the JSON tables in src/onem2m/tables.

usage: gen_onem2m.py TABLES_DIR OUT_H OUT_C

The input repeats the printed tables of TS-0001 and TS-0004; overrides.json holds every correction
with its reason. A name that resolves to nothing, a correction that corrects nothing or a short name
that does not fit stops the run, so that the build shows it.
"""
import json
import os
import re
import sys

VIRTUAL = {"latest", "oldest", "fanOutPoint", "semanticFanOutPoint", "pollingChannelURI",
           "notificationTargetSelfReference", "semanticValidation", "mashup"}
ENUMS_IN_HEADER = ["m2m:cseTypeID", "m2m:requestStatus", "m2m:notificationContentType",
                   "m2m:notificationEventType", "m2m:pendingNotification", "m2m:stdEventCats",
                   "m2m:consistencyStrategy", "m2m:contentStatus", "m2m:desIdResType",
                   "m2m:AERegistrationStatus"]
ATTR = {"LIST": 1, "REQUIRED": 2, "RO": 4, "WO": 8, "COMMON": 16, "MA": 32, "OA": 64}
TYPE = {"ACPI": 1, "CREATOR": 2, "STATE_TAG": 4, "EXPIRES": 8, "UPDATABLE": 16, "ANNOUNCEABLE": 32,
        "ANNOUNCED": 64, "IN_ONLY": 128, "SPECIALIZED": 256, "LABELS": 512, "CREATABLE": 1024,
        "SECURE": 2048}
OPT = {"": 0, "NP": 0, "O": 1, "M": 2}


def fail(text):
    sys.exit("gen_onem2m: " + text)


def load(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return json.load(file)


def snake(name):
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").upper()


class Names:
    """One pool of NUL-terminated texts, addressed by offset."""

    def __init__(self):
        self.offset = {}
        self.texts = []
        self.size = 0

    def add(self, text):
        if text not in self.offset:
            self.offset[text] = self.size
            self.texts.append(text)
            self.size += len(text) + 1
            if self.size > 65535:
                fail("name pool too large")
        return self.offset[text]


class DataTypes:
    """Simple, enumerated, complex and list types, numbered on first use."""

    def __init__(self, folder, overrides, names):
        self.names = names
        self.alias = {row[0]: row[1] for row in overrides["type_names"]}
        self.used_alias = set()
        self.simple = {row[0]: row[1:] for row in load(folder, "simple.json")["types"]}
        self.enums = self.read_enums(folder, overrides)
        self.complex = self.read_complex(folder, overrides)
        self.number = {}
        self.rows = []
        self.members = []
        self.values = []

    @staticmethod
    def read_enums(folder, overrides):
        enums = {row["name"]: [v[:2] for v in row["values"]]
                 for row in load(folder, "enums.json")["enums"]}
        for name, _ in overrides["enum_drop"]:
            del enums[name]
        secure = [["m2m:resourceType", row["ty"], row["name"], ""]
                  for row in load(folder, "ts0016.json")["types"]]
        for name, value, label, _ in overrides["enum_add"] + secure:
            if value in [v[0] for v in enums[name]]:
                fail(f"{name} already has {value}")
            enums[name].append([value, label])
        return enums

    def read_complex(self, folder, overrides):
        fixes = {(row[0], row[1]): row[2:4] for row in overrides["members"]}
        out = {}
        for row in load(folder, "complex.json")["types"]:
            name = self.resolve(row["name"])
            out[name] = []
            for path, short, kind, mult in row["members"]:
                if (row["name"], path) in fixes:
                    new_short, new_kind = fixes.pop((row["name"], path))
                    short, kind = new_short, new_kind or kind
                if short is None:
                    short = "val" if path == "(base content)" else fail(f"{name} {path}: no name")
                out[name].append([path.replace(" ", ""), short, kind, mult])
        if fixes:
            fail(f"unused member corrections {list(fixes)}")
        return out

    def resolve(self, name):
        name = name.strip()
        if name in self.alias:
            self.used_alias.add(name)
            return self.alias[name]
        return name

    def get(self, name):
        """Number of a type by its printed name."""
        name = self.resolve(name)
        words = name.split()
        if words[-2:-1] == ["of"] or "list of" in name.lower():
            length = int(words[2]) if len(words) > 2 and words[2].isdigit() else None
            return self.list_of(words[-1], length or 0, length or 0)
        if name in self.number:
            return self.number[name]
        if name in self.enums:
            return self.add_enum(name)
        if name in self.simple:
            return self.add_simple(name)
        if name in self.complex:
            return self.add_complex(name, self.complex[name])
        return fail(f"unknown data type {name!r}")

    def is_list(self, name):
        name = self.resolve(name)
        return "list of" in name.lower() or self.simple.get(name, [""])[0] == "list"

    def reserve(self, name):
        self.number[name] = len(self.rows)
        self.rows.append(None)
        return self.number[name]

    def list_of(self, element, least, most=0):
        element = self.resolve(element)
        name = f"list of {element}" + (f" ({least}..{most})" if least or most else "")
        if name in self.number:
            return self.number[name]
        inner = self.get(element)
        index = self.reserve(name)
        text = f"list of {element.split(':')[-1]}" if ":" in element else name
        self.rows[index] = ("LIST", text, least, most, inner, 0)
        return index

    def add_simple(self, name):
        kind, *args = self.simple[name]
        if kind == "list":
            inner = self.get(args[0])
            index = self.reserve(name)
            self.rows[index] = ("LIST", name, args[1], args[2] if len(args) > 2 else 0, inner, 0)
            return index
        index = self.reserve(name)
        low, high = (args + [0, 0])[:2]
        self.rows[index] = (kind.upper(), name, low, high, 0, 0)
        return index

    def add_enum(self, name):
        index = self.reserve(name)
        values = sorted(v[0] for v in self.enums[name])
        self.rows[index] = ("ENUM", name, 0, 0, len(self.values), len(values))
        self.values += values
        return index

    def add_complex(self, name, members, label=None):
        """Members with a path below another belong to a type without a name."""
        index = self.reserve(name)
        own = [m for m in members if "/" not in m[0]]
        rows = []
        for path, short, kind, mult in own:
            below = [[m[0][len(path) + 1:]] + m[1:] for m in members if m[0].startswith(path + "/")]
            if below:
                number = self.add_complex(f"{name}/{path}", below, label or name)
            else:
                number = self.get("xs:anyType" if kind in ("", "(anonymous)") else kind)
            most = mult.split("..")[-1]
            if (most == "n" or (most.isdigit() and int(most) > 1)) and not self.is_list(kind or ""):
                number = self.list_of_number(number, 1 if mult[0] == "1" else 0)
            rows.append((short, path.lstrip("@"), number, "M" if mult[0] == "1" else "O"))
        start = len(self.members)
        rows.sort(key=lambda r: r[0].encode())
        self.members += rows
        wild = int(any(r[0] == "*" for r in rows))
        self.rows[index] = ("COMPLEX", label or name, wild, 0, start, len(rows))
        return index

    def list_of_number(self, inner, least):
        name = f"#list {inner} {least}"
        if name not in self.number:
            index = self.reserve(name)
            self.rows[index] = ("LIST", "list of " + self.rows[inner][1].split(":")[-1]
                                if self.rows[inner] else "list", least, 0, inner, 0)
        return self.number[name]


class Resources:
    def __init__(self, folder, overrides, types):
        self.types = types
        self.overrides = overrides
        self.common = dict(load(folder, "common.json")["types"])
        self.rows = load(folder, "resources.json")["types"]
        self.secure = self.add_secure(load(folder, "ts0016.json"))
        for name, ty, _ in overrides["specializations"]:
            self.row(name)["ty"] = ty
        self.number = {row["name"]: row["ty"] for row in self.rows}
        self.in_only = {v[0] for e in load(folder, "enums.json")["enums"]
                        if e["name"] == "m2m:resourceType" for v in e["values"] if len(v) > 2}
        self.fix()
        self.out = []
        for row in self.rows:
            self.out.append(self.resource(row))
            if row["announced"] and row["ty"] in self.generic_numbers(row):
                self.out.append(self.announced(row))

    def add_secure(self, table):
        """TS-0016 hangs its first type below resources of TS-0001, which does not list it."""
        self.rows += table["types"]
        for name in table["parents"]:
            self.row(name)["children"].append(table["types"][0]["name"])
        return {row["ty"] for row in table["types"]}

    @staticmethod
    def generic_numbers(row):
        return (row["ty"],) if row["announced"] == row["ty"] + 10000 else ()

    def row(self, name):
        found = [r for r in self.rows if r["name"] == name]
        return found[0] if found else fail(f"no resource {name}")

    def fix(self):
        generic = self.row("mgmtObj")
        mgmt = {a[1]: a[4] for a in generic["attributes"]}
        for row in self.rows:
            if row["ty"] == generic["ty"] and row is not generic:
                # Annex D prints only what a specialization adds to <mgmtObj>.
                own = {a[1] for a in row["attributes"]}
                row["attributes"] += [a[:] for a in generic["attributes"]
                                      if a[8] == "common" and a[1] not in own]
                row["children"] = row["children"] or generic["children"]
            for attr in row["attributes"]:
                if attr[4].startswith("See clause 7.4.15"):
                    attr[4] = mgmt[attr[1]]
        for res, short, create, update, kind, _ in self.overrides["attributes"]:
            self.fix_attribute(self.row(res), short, create, update, kind)
        for res, name, short, create, update, kind, mult, access, _ in \
                self.overrides["attributes_add"]:
            self.row(res)["attributes"].append([name, short, create, update, kind, mult, access,
                                                "NA", ""])
        self.single = {(r[0], r[1]) for r in self.overrides["single"]}
        self.object_lists = {r[0] for r in self.overrides["lists_of_objects"]}

    @staticmethod
    def fix_attribute(row, short, create, update, kind):
        name, _, new = short.partition("=")
        for attr in row["attributes"]:
            if attr[1] == short or (new and attr[0] == name):
                if [attr[1], attr[2], attr[3], attr[4]] == [new or short, create, update, kind]:
                    fail(f"{row['name']}.{short}: correction corrects nothing")
                attr[1:5] = [new or short, create, update, kind]
                return
        fail(f"{row['name']}.{short}: no such attribute")

    def data_type(self, row, attr):
        name, short, _, _, kind, mult = attr[:6]
        kind = self.common[short] if attr[8] == "common" else kind
        listed = "L" in mult and (row["name"], short) not in self.single
        number = self.types.get(kind)
        plain = kind in self.types.simple or kind in self.types.enums or kind in self.object_lists
        if listed and plain and not self.types.is_list(kind):
            number = self.types.list_of(kind, 0)
        return number

    def attribute(self, row, attr):
        name, short, create, update, _, mult, access, announced, group = attr
        number = self.data_type(row, attr)
        flags = ATTR.get(access, 0) | ATTR.get(announced, 0)
        flags |= ATTR["LIST"] if self.types.rows[number][0] == "LIST" else 0
        flags |= ATTR["REQUIRED"] if mult.startswith("1") else 0
        flags |= ATTR["COMMON"] if group == "common" else 0
        return (short, name, number, OPT[create], OPT[update], flags)

    def attributes(self, row):
        open_ended = [a for a in row["attributes"] if a[0].startswith("[") or
                      a[0].startswith("m2m:re")]
        closed = [a for a in row["attributes"] if a not in open_ended]
        return [self.attribute(row, a) for a in closed]

    def children(self, row):
        out = set()
        for child in row["children"]:
            child = child.strip().strip("[]")
            if child in VIRTUAL:
                continue
            base = child[:-4] if child.endswith("Annc") else child
            if base not in self.number:
                fail(f"{row['name']}: unknown child {child}")
            out.add(self.number[base] + (10000 if child != base else 0))
        return sorted(out)

    def flags(self, ty, attrs):
        short = {a[0] for a in attrs}
        flags = sum(TYPE[f] for f, n in (("ACPI", "acpi"), ("CREATOR", "cr"), ("STATE_TAG", "st"),
                                         ("EXPIRES", "et"), ("LABELS", "lbl")) if n in short)
        flags |= TYPE["UPDATABLE"] if any(a[4] for a in attrs) else 0
        flags |= TYPE["CREATABLE"] if any(a[3] for a in attrs if a[0] in ("rn", "et")) else 0
        flags |= TYPE["SECURE"] if ty in self.secure else 0
        return flags | (TYPE["IN_ONLY"] if ty in self.in_only else 0)

    def resource(self, row):
        attrs = self.attributes(row)
        flags = self.flags(row["ty"], attrs)
        flags |= TYPE["ANNOUNCEABLE"] if row["announced"] else 0
        flags |= TYPE["SPECIALIZED"] if row["short"] is None else 0
        return (row["ty"], row["short"], row["name"], flags, attrs, self.children(row))

    def announced(self, row):
        """TS-0001 9.6.26: the universal attributes, a link, and what the original announces."""
        get = self.types.get
        fixed = [("rn", "resourceName", "m2m:resourceName", 1, 0, 2 | 8),
                 ("ty", "resourceType", "m2m:resourceType", 0, 0, 2 | 4),
                 ("ri", "resourceID", "m2m:ID", 0, 0, 2 | 4),
                 ("pi", "parentID", "m2m:nhURI", 0, 0, 2 | 4),
                 ("ct", "creationTime", "m2m:timestamp", 0, 0, 2 | 4),
                 ("lt", "lastModifiedTime", "m2m:timestamp", 0, 0, 2 | 4),
                 ("et", "expirationTime", "m2m:timestamp", 1, 1, 2),
                 ("lbl", "labels", "m2m:labels", 1, 1, 1),
                 ("acpi", "accessControlPolicyIDs", "m2m:acpType", 1, 1, 1),
                 ("daci", "dynamicAuthorizationConsultationIDs", "list of xs:anyURI", 1, 1, 1),
                 ("lnk", "link", "xs:anyURI", 2, 0, 2 | 8)]
        attrs = [(s, n, get(t), c, u, f | ATTR["COMMON"]) for s, n, t, c, u, f in fixed]
        known = {a[0] for a in attrs}
        for attr in self.attributes(row):
            if attr[5] & (ATTR["MA"] | ATTR["OA"]) and attr[0] not in known:
                keep = attr[5] & ATTR["LIST"]
                attrs.append((attr[0], attr[1], attr[2], 1, 1, keep))
        flags = self.flags(row["announced"], attrs) | TYPE["ANNOUNCED"]
        flags |= TYPE["SPECIALIZED"] if row["short"] is None else 0
        children = [c for c in self.children(row) if c == 23 or 10000 < c < 20000]
        short = row["short"] + "A" if row["short"] else None
        return (row["announced"], short, row["name"] + "Annc", flags, attrs, children)


def c_string(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def write_header(path, resources, types, codes):
    out = ["/* Made by tools/gen_onem2m.py. */", "#pragma once", "",
           "/** m2m:resourceType, TS-0004 6.3.4.2.1, by short name. */", "enum bst_m2m_ty {"]
    seen = {}
    for ty, short, name, *_ in resources.out:
        constant = {13: "MGMT_OBJ", 28: "FLEX", 10013: "MGMT_OBJ_A", 10028: "FLEX_A"}.get(ty)
        constant = constant or snake(short[:-1]) + "_A" if 10000 < ty < 20000 and short else \
            constant or (short or name).upper()
        if ty not in seen:
            seen[ty] = constant
            out.append(f"    BST_TY_{constant} = {ty}, /* {name} */")
    out += ["};", "", "/** m2m:responseStatusCode, TS-0004 6.6.3. */", "enum bst_m2m_rsc {"]
    out += [f"    BST_RSC_{snake(name) if not name.isupper() else name} = {code},"
            for code, name, _, _ in codes]
    out += ["};"]
    for enum in ENUMS_IN_HEADER:
        base = snake(enum.split(":")[1])
        out += ["", f"/** {enum}, TS-0004 6.3.4.2. */", f"enum bst_m2m_{base.lower()} {{"]
        out += [f"    BST_{base}_{snake(label)} = {value}," for value, label in types.enums[enum]]
        out += ["};"]
    write(path, out)


def write_source(path, resources, types, codes, request, response):
    names = types.names
    attrs, children, rows = [], [], []
    for ty, short, name, flags, own, kids in resources.out:
        own = sorted(own, key=lambda a: a[0].encode())
        if len(own) > 64 or len({a[0] for a in own}) != len(own):
            fail(f"{name}: too many or equal attributes")
        create = sum(1 << i for i, a in enumerate(own) if a[3] == 2)
        update = sum(1 << i for i, a in enumerate(own) if a[4] == 2)
        start, kid_start = len(attrs), len(children)
        for i, a in enumerate(own):
            if len(a[0]) > 7:
                fail(f"{name}.{a[0]}: short name too long")
            attrs.append(f'    {{"{a[0]}", {names.add(a[1])}, {a[2]}, {a[3]}, {a[4]}, '
                         f'{a[5]}, {i}}},')
        children += kids
        label = short or name
        rows.append((ty, f'    {{{ty}, {flags}, "{label}", "m2m:{label}", "{name}", '
                         f'&bst_m2m_attrs[{start}], {len(own)}, {len(kids)}, '
                         f'&bst_m2m_children[{kid_start}], UINT64_C({create:#x}), '
                         f'UINT64_C({update:#x})}},', f"m2m:{label}"))
    types.get("m2m:notification")
    types.get("m2m:aggregatedNotification")
    types.get("m2m:securityInfo")
    types.get("m2m:filterCriteria")
    types.get("m2m:responseTypeInfo")
    types.get("m2m:operationResult")
    types.get("m2m:aggregatedResponse")
    types.get("m2m:listOfChildResourceRef")
    for row in request + response:
        types.get(row[2])
    parameters = []
    for row in sorted(request, key=lambda r: r[0].encode()):
        ops = ", ".join(str(OPT[o]) for o in row[4:9])
        parameters.append(f'    {{"{row[0]}", {names.add(row[1])}, {types.get(row[2])}, '
                          f'{{{ops}}}}},')
    data, by_name = [], []
    for i, (kind, name, low, high, first, count) in enumerate(types.rows):
        data.append(f"    {{BST_KIND_{kind}, {names.add(name)}, {first}, {count}, "
                    f"INT64_C({low}), INT64_C({high})}},")
    for name, i in types.number.items():
        if "/" not in name and not name.startswith("#"):
            by_name.append((name, i))
    too_long = [s for s, *_ in types.members if len(s) > 7]
    if too_long:
        fail(f"short names too long: {too_long}")
    members = [f'    {{"{s}", {names.add(p)}, {n}, {OPT[o]}, 0, 0, 0}},'
               for s, p, n, o in types.members]
    order = sorted(range(len(rows)), key=lambda i: (rows[i][0], i))
    roots = sorted(range(len(rows)), key=lambda i: rows[order[i]][2].encode())
    out = ["/* Made by tools/gen_onem2m.py. */", '#include "onem2m/tables_priv.h"', "",
           '#pragma GCC diagnostic ignored "-Woverlength-strings"', "",
           "const char bst_m2m_names[] ="]
    out += [f'    {c_string(text)} "\\0"' for text in names.texts] + ["    ;", ""]
    out += array("struct bst_m2m_attr", "bst_m2m_attrs", attrs)
    out += array("int16_t", "bst_m2m_children", [f"    {c}," for c in children])
    out += array("struct bst_m2m_type", "bst_m2m_types", [rows[i][1] for i in order])
    out += [f"const size_t bst_m2m_n_types = {len(rows)};", ""]
    out += array("uint8_t", "bst_m2m_roots", [f"    {i}, /* {rows[order[i]][2]} */" for i in roots])
    out += array("struct bst_m2m_attr", "bst_m2m_members", members)
    out += array("int32_t", "bst_m2m_enum_values", [f"    {v}," for v in types.values])
    out += array("struct bst_m2m_datatype", "bst_m2m_datatypes", data)
    out += array("struct bst_m2m_named", "bst_m2m_named_types",
                 [f'    {{"{n}", {i}}},' for n, i in sorted(by_name)])
    out += [f"const size_t bst_m2m_n_named_types = {len(by_name)};", ""]
    out += array("struct bst_m2m_parameter", "bst_m2m_parameters", parameters)
    out += [f"const size_t bst_m2m_n_parameters = {len(parameters)};", ""]
    out += array("struct bst_m2m_status", "bst_m2m_statuses",
                 [f'    {{{c}, {h}, "{n}", "{coap}"}},' for c, n, h, coap in codes])
    out += [f"const size_t bst_m2m_n_statuses = {len(codes)};"]
    if len(rows) > 255:
        fail("too many types for the index")
    write(path, out)


def array(kind, name, rows):
    return [f"const {kind} {name}[] = {{", *rows, "};", ""]


def write(path, lines):
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def status_codes(folder, overrides):
    names = {row[0]: row[1] for row in overrides["status_names"]}
    http = {row[0]: row[1] for row in overrides["status_http"]}
    out = []
    for code, name, status, coap in load(folder, "status.json")["codes"]:
        status = http.get(code, status)
        if not status:
            fail(f"{code}: no HTTP status")
        out.append((code, names.get(code, name), status, coap or ""))
    return sorted(out)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    folder, header, source = sys.argv[1:]
    overrides = load(folder, "overrides.json")
    names = Names()
    names.add("")
    types = DataTypes(folder, overrides, names)
    resources = Resources(folder, overrides, types)
    codes = status_codes(folder, overrides)
    request = load(folder, "request.json")["parameters"]
    response = load(folder, "response.json")["parameters"]
    write_source(source, resources, types, codes, request, response)
    write_header(header, resources, types, codes)
    unused = set(types.alias) - types.used_alias
    if unused:
        fail(f"unused type names {sorted(unused)}")


main()
