"use strict";

const KEPT = 1, CHOSEN = 2;

// The colour of P(step is correct); grey where there is none.
function scoreColor(score) {
  if (score === null) return "var(--muted)";
  const share = Math.round(100 * (score < 0.5 ? 2 * score : 2 * score - 1));
  return score < 0.5
    ? `color-mix(in oklab, var(--middle) ${share}%, var(--low))`
    : `color-mix(in oklab, var(--high) ${share}%, var(--middle))`;
}

// The answer that a step states, for the label of a leaf.
function statedAnswer(text) {
  const found = [...text.matchAll(/\\boxed\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}/g)];
  return found.length ? found.at(-1)[1].replace(/\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}/g, "$1/$2").trim() : null;
}

function crossAt(x, y, size) {
  return make("path", { class: "cross", d: `M${x - size},${y - size}l${2 * size},${2 * size}m0,${-2 * size}l${-2 * size},${2 * size}` });
}

// Draws a tree. A node's colour is the score that the PRM gave; a cross is the truth, where it
// is known: a green node with a cross is an error that the PRM did not see.
function drawTree(tree, { verdicts, texts, reference, showPruned, selected, width, onSelect }) {
  const isKept = (id) => id === 0 || (tree.states[id] & (KEPT | CHOSEN)) !== 0;
  const places = layOut(tree.parents, (id) => showPruned || isKept(id));
  const all = [...places.values()];
  const columns = Math.max(...all.map((place) => place.column));
  const rows = Math.max(...all.map((place) => place.row));
  const rowHeight = Math.max(15, Math.min(30, 460 / (rows + 1)));
  const columnWidth = Math.max(44, Math.min(120, (width - 130) / Math.max(columns, 1)));
  const radius = rowHeight < 18 ? 5.5 : 7;
  const x = (id) => 14 + places.get(id).column * columnWidth;
  const y = (id) => 14 + places.get(id).row * rowHeight;
  const height = 28 + rows * rowHeight;
  const full = 130 + columns * columnWidth;
  const svg = make("svg", { width: full, height, viewBox: `0 0 ${full} ${height}`, role: "img" });
  const hasChildren = new Set([...places.keys()].map((id) => tree.parents[id]));

  const order = [...places.keys()].sort((a, b) => (tree.states[a] & CHOSEN) - (tree.states[b] & CHOSEN));
  for (const id of order) {
    const parent = tree.parents[id];
    if (parent < 0) continue;
    const middle = (x(parent) + x(id)) / 2;
    const state = tree.states[id] & CHOSEN ? "chosen" : isKept(id) ? "" : "pruned";
    svg.append(make("path", {
      class: `edge ${state}`,
      d: `M${x(parent)},${y(parent)}C${middle},${y(parent)} ${middle},${y(id)} ${x(id)},${y(id)}`,
    }));
  }
  for (const id of places.keys()) {
    const state = [
      "node",
      isKept(id) ? "" : "pruned",
      tree.states[id] & CHOSEN ? "chosen" : "",
      id === selected ? "selected" : "",
    ].join(" ");
    const node = make("g", { class: state, "data-id": id, onclick: () => onSelect(id) });
    node.append(make("circle", { class: "hit", cx: x(id), cy: y(id), r: radius + 5 }));
    if (id === selected) node.append(make("circle", { class: "ring", cx: x(id), cy: y(id), r: radius + 3.5 }));
    const text = texts[tree.texts[id]];
    const color = id === 0 ? "var(--ink)" : scoreColor(tree.scores[id]);
    node.append(make("circle", { class: "disc", cx: x(id), cy: y(id), r: id === 0 ? 4 : radius, style: `fill: ${color}` }));
    const verdict = tree.verdicts[id] === null ? null : verdicts[tree.verdicts[id]];
    if (verdict !== null && verdict !== "right") node.append(crossAt(x(id), y(id), radius * 0.42));
    if (tree.failures[id]) node.append(make("text", { class: "warn", x: x(id), y: y(id) - radius - 2 }, "!"));
    node.append(make("title", {}, id === 0 ? "the problem" : text));
    svg.append(node);
    const answer = hasChildren.has(id) ? null : statedAnswer(text);
    const isLast = places.get(id).column === columns;
    if (answer !== null && (isLast || answer.length <= (columnWidth - 26) / 6.5)) {
      const label = answer.length > 14 ? `${answer.slice(0, 13)}…` : answer;
      const isReference = reference !== null && answer === statedAnswer(`\\boxed{${reference}}`);
      svg.append(make("text", { class: `leaf ${isReference ? "reference" : ""}`, x: x(id) + radius + 7, y: y(id) + 4 }, label));
    }
  }
  return svg;
}
