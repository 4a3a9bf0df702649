(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("scores").textContent);
  const anomalous = data.kinds.flat().sort((a, b) => a - b);
  const slider = document.querySelector("#slider input");
  const reset = document.getElementById("reset");
  const cut = document.getElementById("cut");
  const lines = document.querySelectorAll("[data-cut]");
  const texts = [...document.querySelectorAll("[data-live]")];
  const kinds = [...document.querySelectorAll("[data-kind]")];

  // How many of the ascending numbers are above the threshold.
  const above = (sorted, threshold) => {
    let low = 0, high = sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] > threshold) high = middle;
      else low = middle + 1;
    }
    return sorted.length - low;
  };
  const { centre, width, low, high } = data.axis;
  const placeOf = (score) => (Math.asinh((score - centre) / width) - low) / (high - low);
  const scoreAt = (place) => centre + width * Math.sinh(low + place * (high - low));
  const percent = (rate) => `${(100 * rate).toFixed(1)}\u202f%`;

  const moveCut = (place) => {
    const x = `${100 * place}%`;
    for (const line of lines) {
      if (line.tagName === "rect") {
        line.setAttribute("x", x);
        line.setAttribute("width", `${100 * (1 - place)}%`);
      } else if (line.tagName === "line") {
        line.setAttribute("x1", x);
        line.setAttribute("x2", x);
      } else {
        line.setAttribute("x", x);
        line.setAttribute("dx", place < 0.5 ? 6 : -6);
        line.setAttribute("text-anchor", place < 0.5 ? "start" : "end");
      }
    }
  };
  // The ring of a curve, at rates from 0 to 1; where nothing is called anomalous, precision has no
  // value.
  const moveRing = (id, x, y) => {
    const ring = document.getElementById(id);
    ring.style.display = Number.isNaN(y) ? "none" : "";
    if (Number.isNaN(y)) return;
    const { left, top, side } = ring.dataset;
    ring.setAttribute("cx", Number(left) + x * side);
    ring.setAttribute("cy", Number(top) + (1 - y) * side);
  };

  const show = (threshold) => {
    const normal = data.normal.length, all = anomalous.length;
    const alarms = above(data.normal, threshold), detected = above(anomalous, threshold);
    const live = {
      alarms, detected,
      passed: normal - alarms,
      missed: all - detected,
      alarm_rate: percent(alarms / normal),
      detection_rate: percent(detected / all),
      alarms_of: `${alarms} of ${normal}`,
    };
    for (const text of texts) text.textContent = live[text.dataset.live];
    for (const text of kinds) {
      const scores = data.kinds[text.dataset.kind];
      text.textContent = `${above(scores, threshold)} of ${scores.length}`;
    }
    moveRing("roc-ring", alarms / normal, detected / all);
    moveRing("pr-ring", detected / all, detected / (detected + alarms));
  };

  data.kinds.forEach((scores) => scores.sort((a, b) => a - b));
  data.normal.sort((a, b) => a - b);
  // What the page says without this script, and says again after a reset.
  const own = { cut: cut.textContent, texts: texts.map((text) => text.textContent) };
  const describe = () => slider.setAttribute("aria-valuetext", cut.textContent);

  slider.addEventListener("input", () => {
    const threshold = scoreAt(slider.valueAsNumber);
    cut.textContent = threshold.toPrecision(4);
    moveCut(slider.valueAsNumber);
    show(threshold);
    describe();
    reset.hidden = false;
  });
  reset.addEventListener("click", () => {
    slider.value = placeOf(data.threshold);
    moveCut(placeOf(data.threshold));
    show(data.threshold);
    cut.textContent = own.cut;
    texts.forEach((text, i) => { text.textContent = own.texts[i]; });
    describe();
    reset.hidden = true;
    slider.focus();
  });
  slider.value = placeOf(data.threshold);
  describe();
  document.getElementById("slider").hidden = false;
  document.getElementById("hint").hidden = false;
})();
