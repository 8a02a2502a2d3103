// The form of an endpoint: the tree of events, and the fields that belong to a choice.
"use strict";
/* global htmx */
(() => {
  const show = (select) => {
    const kind = select.dataset.shows;
    for (const part of document.querySelectorAll(`[data-${kind}]`)) part.hidden = part.dataset[kind] !== select.value;
  };
  const count = (tree, name) => {
    const leaves = [...tree.querySelectorAll(`[data-of="${CSS.escape(name)}"]`)];
    const on = leaves.filter((leaf) => leaf.checked).length;
    const all = tree.querySelector(`[data-all="${CSS.escape(name)}"]`);
    all.checked = on === leaves.length;
    all.indeterminate = on > 0 && on < leaves.length;
    tree.querySelector(`[data-count="${CSS.escape(name)}"]`).textContent = on ? `${on} / ${leaves.length}` : "";
  };
  const begin = (root) => {
    for (const select of root.querySelectorAll("[data-shows]")) show(select);
    for (const box of root.querySelectorAll("[data-some]")) box.indeterminate = true;
  };
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.matches?.("[data-shows]")) show(box);
    const tree = box.closest?.("[data-tree]");
    if (!tree) return;
    if (box.dataset.all) {
      for (const leaf of tree.querySelectorAll(`[data-of="${CSS.escape(box.dataset.all)}"]`)) leaf.checked = box.checked;
      count(tree, box.dataset.all);
    } else if (box.dataset.of) count(tree, box.dataset.of);
  });
  document.addEventListener("keydown", (event) => {
    const tree = event.target.closest?.("[data-tree]");
    if (!tree) return;
    const stops = [...tree.querySelectorAll("summary, .branch > [open] .leaf input")];
    const here = stops.indexOf(event.target.closest("summary") ?? event.target);
    const branch = event.target.closest(".branch");
    const go = { ArrowDown: stops[here + 1], ArrowUp: stops[here - 1] }[event.key];
    if (go) go.focus();
    else if (event.key === "ArrowRight" && branch) branch.querySelector("details").open = true;
    else if (event.key === "ArrowLeft" && branch) {
      branch.querySelector("details").open = false;
      branch.querySelector("summary").focus();
    }
    else if (event.key === " " && event.target.matches("summary")) branch.querySelector("[data-all]").click();
    else return;
    event.preventDefault();
  });
  document.addEventListener("focusin", (event) => {
    if (event.target.matches?.("[data-select]")) event.target.select();
    const type = event.target.dataset?.example;
    const url = `/settings/integrations/webhooks/example?event_type=${encodeURIComponent(type)}`;
    if (type) htmx.ajax("GET", url, { target: "#example", swap: "innerHTML", select: "unset" });
  });
  document.addEventListener("htmx:afterSettle", (event) => begin(event.target.parentNode ?? document));
  begin(document);
})();
