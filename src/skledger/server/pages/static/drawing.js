// One plot in one element, drawn anew when its choices or its data change.
import { chart, numbersTable } from "./charts.js";

/** Open the run of what was clicked, in a new tab when the key for that is held. */
function opensRuns(drawn, address) {
  drawn.on("click", (event) => {
    const id = event.data?.id ?? (event.componentType === "series" ? event.seriesId : null);
    if (!id || String(id).startsWith("\0")) return;
    const target = address.replace("ID", encodeURIComponent(id));
    const native = event.event?.event;
    if (native?.ctrlKey || native?.metaKey) open(target, "_blank", "noopener");
    else location.assign(target);
  });
}

export class Drawing {
  /** `noted` is where words below the chart go; `address` that of a run, with ID for its identifier. */
  constructor(element, noted, address) {
    Object.assign(this, { element, noted, address, drawn: null, fold: null, plot: null, turn: 0 });
  }

  /** Draw a plot, or what a promise of one gives; the last one asked for stays. */
  async show(promised, table) {
    const turn = ++this.turn;
    const plot = await promised;
    if (turn !== this.turn) return;
    this.plot = plot;
    if (plot.nothing) {
      this.drawn?.dispose();
      this.drawn = null;
      this.element.hidden = true;
      this.noted.textContent = plot.nothing;
      return;
    }
    this.element.hidden = false;
    this.noted.textContent = plot.note.trim();
    if (this.drawn) {
      this.element.setAttribute("aria-label", plot.words);
      this.drawn.redraw();
    } else {
      this.drawn = await chart(this.element, (colors) => this.plot.options(colors), plot.words);
      opensRuns(this.drawn, this.address);
    }
    // One that is open stays as it is: somebody reads it.
    if (table && !this.fold?.open) {
      this.fold?.remove();
      this.fold = numbersTable(this.noted, table.columns, table.rows);
    }
  }
}
