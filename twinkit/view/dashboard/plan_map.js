// The planner's map in the browser: a mast is dragged here at once, and the server is told no faster than it answers.
// Given: figure, masts, held (what goes to the server), seen (what comes back), box, cb_obj.
const state = held._tk ?? (held._tk = { mode: "", at: -1, off: [0, 0], last: null, busy: 0, next: null, number: 0, since: 0 });
const [left, right, bottom, top] = box;
const across = figure.inner_width / (figure.x_range.end - figure.x_range.start);
const along = figure.inner_height / (figure.y_range.end - figure.y_range.start);

function told() {
  // one question at a time; an answer that never came is not waited for
  if (state.next === null || (state.busy && performance.now() - state.since < 2000)) return;
  state.number += 1;
  state.busy = state.number;
  state.since = performance.now();
  const { phase, site, x, y } = state.next;
  state.next = null;
  held.data = { phase: [phase], site: [site], x: [x], y: [y], number: [state.number] };
}

function say(phase) {
  state.next = { phase, site: masts.data.site[state.at], x: masts.data.x[state.at], y: masts.data.y[state.at] };
  told();
}

function nearest(event) {
  let best = 24, found = -1;
  for (let i = 0; i < masts.data.x.length; i++) {
    const away = Math.hypot((masts.data.x[i] - event.x) * across, (masts.data.y[i] - event.y) * along);
    if (away < best) { best = away; found = i; }
  }
  return found;
}

switch (cb_obj.event_name) {
  case "tap": {
    const found = nearest(cb_obj);
    if (found >= 0) { state.at = found; say("choose"); }
    break;
  }
  case "panstart": {
    state.at = nearest(cb_obj);
    state.mode = state.at >= 0 ? "mast" : "map";
    state.last = [cb_obj.sx, cb_obj.sy];
    if (state.at >= 0) state.off = [masts.data.x[state.at] - cb_obj.x, masts.data.y[state.at] - cb_obj.y];
    break;
  }
  case "pan": {
    if (state.mode === "map") {
      const dx = (cb_obj.sx - state.last[0]) / across, dy = (state.last[1] - cb_obj.sy) / along;
      state.last = [cb_obj.sx, cb_obj.sy];
      figure.x_range.setv({ start: figure.x_range.start - dx, end: figure.x_range.end - dx });
      figure.y_range.setv({ start: figure.y_range.start - dy, end: figure.y_range.end - dy });
    } else if (state.mode === "mast") {
      masts.data.x[state.at] = Math.min(Math.max(cb_obj.x + state.off[0], left), right);
      masts.data.y[state.at] = Math.min(Math.max(cb_obj.y + state.off[1], bottom), top);
      masts.change.emit();
      say("move");
    }
    break;
  }
  case "panend": {
    if (state.mode === "mast") say("end");
    state.mode = "";
    break;
  }
  default: {
    // the server's answer: the picture on the page is that of this number
    if (seen.data.number[0] >= state.busy) state.busy = 0;
    told();
  }
}
