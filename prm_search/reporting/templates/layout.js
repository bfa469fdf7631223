"use strict";

// Places a tree from left to right. The column of a node is its depth. Within a column, nodes
// stand in the order of their parents, as close to them as room allows: the rows are those of
// least squared distance from where each parent wants its children (isotonic regression by
// pooling, Ayer et al. 1955), so chains stay straight and no edges cross. A column that would drift off is moved back.
// parents: [num_nodes], -1 for the root; a parent comes before its children.
// Returns Map: id -> {column, row}, without the nodes that are not shown.
function layOut(parents, isShown) {
  const SIBLING_GAP = 1, COUSIN_GAP = 1.35;
  const children = new Map();
  parents.forEach((parent, id) => {
    if (parent < 0 || !isShown(id)) return;
    if (!children.has(parent)) children.set(parent, []);
    children.get(parent).push(id);
  });
  const places = new Map([[0, { column: 0, row: 0 }]]);
  let top = 0, bottom = 0; // of all columns so far
  for (let front = [0], column = 1; ; column++) {
    const wishes = [];
    let offset = 0, before = 0; // before: size of the family above
    for (const parent of front) {
      const siblings = children.get(parent) ?? [];
      siblings.forEach((id, index) => {
        const isBesideFamily = index === 0 && Math.max(siblings.length, before) > 1;
        if (wishes.length) offset += isBesideFamily ? COUSIN_GAP : SIBLING_GAP;
        const wish = places.get(parent).row + (index - (siblings.length - 1) / 2) * SIBLING_GAP;
        wishes.push({ id, offset, value: wish - offset });
      });
      before = siblings.length || before;
    }
    if (!wishes.length) break;
    const rows = nonDecreasing(wishes.map((wish) => wish.value)).map((value, index) => value + wishes[index].offset);
    const drift = outside(rows[0], rows.at(-1), top, bottom);
    wishes.forEach(({ id }, index) => places.set(id, { column, row: rows[index] - drift }));
    top = Math.min(top, rows[0] - drift);
    bottom = Math.max(bottom, rows.at(-1) - drift);
    front = wishes.map((wish) => wish.id);
  }
  for (const place of places.values()) place.row -= top;
  return places;
}

// How far a column has to move to lie within the others, or on their middle if it is larger.
function outside(first, last, top, bottom) {
  if (last - first > bottom - top) return (first + last - top - bottom) / 2;
  return Math.min(first - top, 0) + Math.max(last - bottom, 0);
}

// The non-decreasing numbers with the least squared distance from `values`.
function nonDecreasing(values) {
  const pools = [];
  for (const value of values) {
    pools.push({ sum: value, size: 1 });
    while (pools.length > 1) {
      const [before, last] = pools.slice(-2);
      if (before.sum / before.size <= last.sum / last.size) break;
      pools.splice(-2, 2, { sum: before.sum + last.sum, size: before.size + last.size });
    }
  }
  return pools.flatMap(({ sum, size }) => Array(size).fill(sum / size));
}
