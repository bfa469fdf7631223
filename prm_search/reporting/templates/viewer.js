"use strict";

(function view() {
  const place = document.getElementById("viewer");
  if (!place) return;
  const data = JSON.parse(document.getElementById("trees").textContent);
  const part = (id) => document.getElementById(id);
  const trees = new Map(data.trees.map((tree) => [`${tree.method}/${tree.problem}`, tree]));
  const treeOf = (method, problem) => trees.get(`${method}/${problem}`);
  const isAnnotated = data.verdicts.length > 0;
  const state = { method: 0, problem: 0, node: null, outcome: "all", level: "all", pruned: true };

  const OUTCOMES = {
    all: ["all outcomes", () => true],
    right: ["right", (tree) => tree.correct === true],
    wrong: ["wrong", (tree) => tree.correct === false],
    flawed: ["right by a wrong step", (tree) => tree.correct === true && hasWrongStep(tree)],
    unknown: ["failed or not graded", (tree) => tree.correct === null],
  };

  function verdictOf(tree, id) {
    return tree.verdicts[id] === null ? null : data.verdicts[tree.verdicts[id]];
  }
  function hasWrongStep(tree) {
    return Boolean(tree.parents) && tree.parents.some((_, id) => {
      const verdict = tree.states[id] & CHOSEN ? verdictOf(tree, id) : null;
      return verdict !== null && verdict !== "right";
    });
  }
  function sign(tree) {
    const [kind, mark] = !tree || tree.correct === null ? ["unknown", tree && tree.error ? "!" : "–"]
      : tree.correct ? ["yes", "✓"] : ["no", "✗"];
    return make("span", { class: `sign ${kind}` }, mark);
  }
  function chosenLeaf(tree) {
    let leaf = 0;
    tree.states.forEach((value, id) => { if (value & CHOSEN) leaf = id; });
    return leaf;
  }
  function pathTo(tree, id) {
    const path = [];
    for (let at = id; at > 0; at = tree.parents[at]) path.unshift(at);
    return path;
  }
  // From the selected step on along the chosen path or else the first kept child, to a leaf.
  function pathThrough(tree, id) {
    const path = pathTo(tree, id);
    for (let at = id; ;) {
      const children = tree.parents.flatMap((parent, child) => (parent === at ? [child] : []));
      if (!children.length) return path;
      at = children.find((child) => tree.states[child] & CHOSEN)
        ?? children.find((child) => tree.states[child] & KEPT) ?? children[0];
      path.push(at);
    }
  }

  // What to open first: a tree of middling difficulty, of the method that prunes most.
  function mostBranched() {
    const problem = Math.floor(data.problems.length / 2);
    const size = (tree) => (tree && tree.states ? tree.states.filter((value) => !(value & KEPT)).length : -1);
    const sizes = data.methods.map((_, method) => size(treeOf(method, problem)));
    return { problem, method: sizes.indexOf(Math.max(...sizes)) };
  }

  function readHash() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const method = data.methods.indexOf(wanted.get("method"));
    if (method >= 0) state.method = method;
    const name = wanted.get("problem");
    const byId = data.problems.findIndex((problem) => problem.id === name);
    if (byId >= 0) state.problem = byId;
    else if (data.problems[Number(name)] && name !== null) state.problem = Number(name);
    state.node = wanted.has("node") ? Number(wanted.get("node")) : null;
    return wanted.size > 0;
  }
  function writeHash() {
    const wanted = new URLSearchParams({
      method: data.methods[state.method], problem: data.problems[state.problem].id,
    });
    if (state.node !== null) wanted.set("node", state.node);
    history.replaceState(null, "", `#${wanted}`);
  }

  function change(values) {
    if (("method" in values || "problem" in values) && !("node" in values)) values.node = null;
    Object.assign(state, values);
    if (!listed().includes(state.problem) && listed().length && !("problem" in values)) {
      state.problem = listed()[0];
      state.node = null;
    }
    writeHash();
    draw();
  }

  function listed() {
    const [, isWanted] = OUTCOMES[state.outcome];
    return data.problems.flatMap((problem, index) => {
      const tree = treeOf(state.method, index);
      const isLevel = state.level === "all" || problem.level === state.level;
      return tree && isLevel && isWanted(tree) ? [index] : [];
    });
  }

  function drawMethods() {
    part("methods").replaceChildren(...data.methods.map((name, method) => {
      const tree = treeOf(method, state.problem);
      return make("button", {
        type: "button", role: "tab", "aria-selected": method === state.method, disabled: tree ? false : "",
        onclick: () => change({ method }),
      }, sign(tree), ` ${name}`);
    }));
  }

  function drawProblems() {
    const list = part("problems");
    const items = listed().map((problem) => make("button", {
      type: "button", "aria-current": problem === state.problem, title: data.problems[problem].prompt,
      onclick: () => change({ problem }),
    },
    sign(treeOf(state.method, problem)),
    make("span", { class: "name" }, data.problems[problem].id),
    data.problems[problem].level === null ? null : make("span", { class: "muted" }, data.problems[problem].level)));
    list.replaceChildren(...(items.length ? items : [make("p", {}, "No such problem.")]));
    const current = list.querySelector("[aria-current=true]");
    if (current) {
      const above = current.offsetTop - list.offsetTop;
      if (above < list.scrollTop || above + current.offsetHeight > list.scrollTop + list.clientHeight) {
        list.scrollTop = above - list.clientHeight / 2;
      }
    }
  }

  function drawStage(tree) {
    const problem = data.problems[state.problem];
    part("prompt").textContent = problem.prompt;
    const parts = [];
    const say = (name, value) => parts.push(`${parts.length ? " · " : ""}${name} `, make("b", {}, value));
    if (tree && !tree.error) say("answer", tree.answer ?? "none");
    if (problem.reference !== null) say("reference", problem.reference);
    if (problem.level !== null) say("level", problem.level);
    if (tree && tree.parents) say("steps explored", String(tree.parents.length - 1));
    if (tree) say("seed", String(tree.seed));
    part("result").replaceChildren(...parts);
    part("legend").hidden = !(tree && tree.parents);
    part("pruned-label").hidden = !(tree && tree.parents
      && tree.states.some((value, id) => id > 0 && !(value & (KEPT | CHOSEN))));
    const canvas = part("canvas");
    if (!tree || !tree.parents) {
      canvas.replaceChildren(make("p", { class: "bad" }, tree ? tree.error ?? "no tree" : "not searched yet"));
      return;
    }
    canvas.replaceChildren(drawTree(tree, {
      verdicts: data.verdicts, texts: data.texts, reference: problem.reference,
      showPruned: state.pruned, selected: state.node, width: canvas.clientWidth,
      onSelect: (node) => change({ node }),
    }));
    const selected = canvas.querySelector(".selected");
    if (selected) selected.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  function drawPath(tree) {
    const path = tree && tree.parents ? pathThrough(tree, state.node ?? chosenLeaf(tree)) : [];
    const steps = path.map((id, index) => {
      const isSelected = id === state.node;
      const isAfter = state.node !== null && state.node > 0 && path.indexOf(state.node) < index;
      const marks = [];
      const score = tree.scores[id];
      if (score !== null) {
        marks.push(make("span", {}, make("i", { class: "chip", style: `background: ${scoreColor(score)}` }), score.toFixed(3)));
      }
      const verdict = verdictOf(tree, id);
      if (verdict !== null) {
        const isRight = verdict === "right";
        marks.push(make("span", { class: isRight ? "yes" : "no" }, `${isRight ? "✓" : "✗"} ${verdict.replaceAll("_", " ")}`));
      }
      if (tree.tokens[id]) marks.push(make("span", {}, `${tree.tokens[id]} tokens`));
      if (tree.states[id] & CHOSEN) marks.push(make("span", {}, "chosen"));
      else if (!(tree.states[id] & KEPT)) marks.push(make("span", {}, "pruned"));
      if (tree.failures[id]) marks.push(make("span", { class: "no" }, tree.failures[id]));
      return make("div", {
        class: `step ${isSelected ? "selected" : ""} ${isAfter ? "after" : ""}`,
        onclick: () => change({ node: id }),
      },
      make("span", { class: "number" }, String(index + 1)),
      make("span", { class: "text" }, data.texts[tree.texts[id]] || "(nothing)"),
      make("span", { class: "marks" }, ...marks));
    });
    part("path").replaceChildren(...steps);
    const selected = part("path").querySelector(".selected");
    if (selected) part("path").scrollTop = selected.offsetTop - part("path").offsetTop - 80;
  }

  function drawLegend(tree) {
    const item = (drawing, text) => make("span", {}, drawing, text);
    const icon = (...shapes) => make("svg", { width: 26, height: 16 }, ...shapes);
    const disc = (color) => make("circle", { class: "disc", cx: 13, cy: 8, r: 6, style: `fill: ${color}` });
    const items = [];
    if (tree && tree.parents && tree.scores.some((score) => score !== null)) {
      items.push(make("span", {}, "PRM score 0", make("i", { class: "ramp" }), "1"));
    } else items.push(item(icon(disc(scoreColor(null))), "not scored"));
    if (isAnnotated) {
      const crossed = make("g", { class: "node" }, disc("var(--low)"), crossAt(13, 8, 2.6));
      items.push(item(icon(crossed), "wrong by the oracle"));
    }
    items.push(item(icon(make("line", { class: "edge chosen", x1: 1, x2: 25, y1: 8, y2: 8 })), "chosen path"));
    if (!part("pruned-label").hidden) {
      items.push(item(icon(make("line", { class: "edge pruned", x1: 1, x2: 25, y1: 8, y2: 8 })), "pruned"));
    }
    items.push(make("span", {}, "arrow keys move between steps"));
    part("legend").replaceChildren(...items);
  }

  function draw() {
    const tree = treeOf(state.method, state.problem);
    drawMethods();
    drawProblems();
    drawStage(tree);
    drawLegend(tree);
    drawPath(tree);
  }

  function step(key) {
    const tree = treeOf(state.method, state.problem);
    if (!tree || !tree.parents) return;
    const at = state.node ?? chosenLeaf(tree);
    const isShown = (id) => state.pruned || (tree.states[id] & (KEPT | CHOSEN)) !== 0;
    const places = layOut(tree.parents, isShown);
    if (key === "ArrowLeft" && at > 0) change({ node: tree.parents[at] });
    if (key === "ArrowRight") {
      const next = pathThrough(tree, at)[pathTo(tree, at).length];
      if (next !== undefined) change({ node: next });
    }
    if (key === "ArrowUp" || key === "ArrowDown") {
      const here = places.get(at);
      if (!here) return;
      const sense = key === "ArrowUp" ? -1 : 1;
      const near = [...places].filter(([, p]) => p.column === here.column && sense * (p.row - here.row) > 0)
        .sort((a, b) => sense * (a[1].row - b[1].row));
      if (near.length) change({ node: near[0][0] });
    }
  }

  function fill(select, choices, name) {
    select.append(...choices.map(([value, text]) => make("option", { value }, text)));
    select.addEventListener("change", () => change({ [name]: select.value }));
    select.hidden = choices.length < 3;
  }

  fill(part("outcome"), Object.entries(OUTCOMES)
    .filter(([name, [, isWanted]]) => name === "all" || data.trees.some(isWanted))
    .map(([name, [text]]) => [name, text]), "outcome");
  const levels = [...new Set(data.problems.map((problem) => problem.level).filter((level) => level !== null))];
  fill(part("level"), [["all", "all levels"], ...levels.map((level) => [level, `level ${level}`])], "level");
  part("pruned").addEventListener("change", (event) => change({ pruned: event.target.checked }));
  part("canvas").tabIndex = 0;
  place.addEventListener("keydown", (event) => {
    if (event.key.startsWith("Arrow") && !["SELECT", "INPUT"].includes(event.target.tagName)) {
      event.preventDefault();
      step(event.key);
    }
  });
  addEventListener("hashchange", () => { readHash(); draw(); });
  addEventListener("resize", () => draw());
  const isLinked = readHash();
  if (!isLinked) Object.assign(state, mostBranched());
  draw();
  if (isLinked) place.scrollIntoView();
})();
