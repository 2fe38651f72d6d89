// Renders /schema/openapi.json. Every text is set as text, never as markup.
"use strict";

function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined) node.append(child);
  }
  return node;
}

const code = (text) => element("code", {}, text);
const json = (value) => element("pre", {}, JSON.stringify(value, null, 2));

function paragraphs(text) {
  return (text || "").split(/\n{2,}/).filter(Boolean).map((part) =>
    element("p", {}, part.split(/(`[^`]+`)/).map((piece) =>
      piece.startsWith("`") && piece.endsWith("`") && piece.length > 2
        ? code(piece.slice(1, -1)) : piece)));
}

// A reference with examples beside it comes as `allOf` with one member.
function bare(schema) {
  return schema && schema.allOf && schema.allOf.length === 1 ? schema.allOf[0] : schema || {};
}

function resolve(spec, wrapped) {
  const schema = bare(wrapped);
  if (!schema.$ref) return schema;
  return schema.$ref.slice(2).split("/").reduce((at, key) => at[key], spec);
}

function typeName(spec, wrapped) {
  const schema = bare(wrapped);
  if (schema.$ref) return schema.$ref.split("/").pop();
  const choices = schema.oneOf || schema.anyOf;
  if (choices) return choices.map((one) => typeName(spec, one)).join(" | ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.type === "array") return `list of ${typeName(spec, schema.items || {})}`;
  return [].concat(schema.type || "any").join(" | ");
}

function constraints(schema) {
  const names = ["minLength", "maxLength", "minimum", "maximum", "default"];
  return names.filter((name) => schema[name] !== undefined)
    .map((name) => `${name} ${JSON.stringify(schema[name])}`).join(", ");
}

function table(heads, rows) {
  return element("table", {},
    element("thead", {}, element("tr", {}, heads.map((head) => element("th", {}, head)))),
    element("tbody", {}, rows.map((cells) =>
      element("tr", {}, cells.map((cell) => element("td", {}, cell))))));
}

function fields(spec, schema) {
  const resolved = resolve(spec, schema);
  if (!resolved.properties) return null;
  const required = new Set(resolved.required || []);
  return table(["Field", "Type", "Meaning"],
    Object.entries(resolved.properties).map(([name, property]) => [
      [code(name), required.has(name) ? " required" : ""],
      [typeName(spec, property), " ", constraints(property)],
      property.description || resolve(spec, property).description || "",
    ]));
}

function examplesOf(media) {
  const named = Object.values(media.examples || {}).map((one) => one.value);
  return named.length ? named : (media.schema && media.schema.examples) || [];
}

function body(spec, content) {
  return Object.entries(content || {}).map(([mediaType, media]) => [
    element("p", { class: "soft" }, mediaType, ": ", typeName(spec, media.schema || {})),
    fields(spec, media.schema),
    examplesOf(media).map(json),
  ]);
}

function operation(spec, path, method, one) {
  const request = one.requestBody && body(spec, one.requestBody.content);
  const parameters = (one.parameters || []).map((parameter) => [
    code(parameter.name), parameter.in, typeName(spec, parameter.schema || {}),
    parameter.description || "",
  ]);
  return element("details", { id: one.operationId },
    element("summary", {}, element("span", { class: "method" }, method.toUpperCase()),
      code(path), " ", one.summary || ""),
    element("div", {},
      paragraphs(one.description),
      one.security && one.security.length
        ? element("p", { class: "soft" }, "Needs the header X-Internal-API-Key.") : null,
      parameters.length
        ? [element("h3", {}, "Parameters"), table(["Name", "In", "Type", "Meaning"], parameters)]
        : null,
      request ? [element("h3", {}, "Request"), request] : null,
      element("h3", {}, "Answers"),
      Object.entries(one.responses || {}).map(([status, answer]) =>
        element("details", {},
          element("summary", {}, code(status), " ", answer.description || ""),
          element("div", {}, body(spec, answer.content))))));
}

function page(spec) {
  const byTag = new Map((spec.tags || []).map((tag) => [tag.name, { tag, operations: [] }]));
  for (const [path, methods] of Object.entries(spec.paths)) {
    for (const [method, one] of Object.entries(methods)) {
      const name = (one.tags || ["other"])[0];
      if (!byTag.has(name)) byTag.set(name, { tag: { name }, operations: [] });
      byTag.get(name).operations.push(operation(spec, path, method, one));
    }
  }
  return [
    element("h1", {}, spec.info.title),
    element("p", { class: "soft" }, `Version ${spec.info.version} · `,
      element("a", { href: "/schema/openapi.json" }, "openapi.json")),
    paragraphs(spec.info.description),
    [...byTag.values()].map(({ tag, operations }) => [
      element("h2", {}, tag.name), paragraphs(tag.description), operations,
    ]),
  ].flat(Infinity);
}

const docs = document.getElementById("docs");
fetch("/schema/openapi.json")
  .then((answer) => answer.json())
  .then((spec) => docs.replaceChildren(...page(spec)))
  .catch((error) => docs.replaceChildren(`The description could not be shown: ${error}`));
