// What Bokeh's widgets leave unsaid to a screen reader, and the way past the controls. Runs on every page and in
// notebooks; it reads nothing and sends nothing.
(function () {
  const seen = new WeakSet();
  const titled = (root) => {
    const title = root.querySelector(".bk-slider-title, .bk-input-group > label, label");
    return title === null ? "" : title.textContent.replace(/:\s*[^:]*$/, "").trim();
  };
  const named = (element, text) => {
    if (text && !element.hasAttribute("aria-label") && !element.hasAttribute("aria-labelledby")) {
      element.setAttribute("aria-label", text);
    }
  };
  function mended(root) {
    if (!seen.has(root)) {
      seen.add(root);
      new MutationObserver(() => mended(root)).observe(root, { childList: true, subtree: true });
    }
    for (const handle of root.querySelectorAll(".noUi-handle")) named(handle, titled(root) || beside(root));
    for (const button of root.querySelectorAll(".bk-spin-btn")) {
      // the arrow keys do the same from within the field
      button.setAttribute("tabindex", "-1");
      button.setAttribute("aria-hidden", "true");
    }
    for (const box of root.querySelectorAll("input[type=checkbox], input[type=radio]")) {
      if (box.closest("label") === null) named(box, (box.nextElementSibling ?? box.parentElement)?.textContent.trim());
    }
    for (const canvas of root.querySelectorAll("canvas:not([aria-hidden])")) canvas.setAttribute("aria-hidden", "true");
    for (const element of root.querySelectorAll("*")) if (element.shadowRoot !== null) mended(element.shadowRoot);
  }
  // A slider over a list keeps its title in a neighbour.
  function beside(root) {
    const before = root.host?.previousElementSibling;
    const parts = [...(before?.shadowRoot?.children ?? [])].filter((part) => part.localName !== "style");
    return parts.map((part) => part.textContent).join(" ").replace(/:\s*[^:]*$/, "").trim();
  }
  function deep(root, selector) {
    const found = root.querySelector(selector);
    if (found !== null) return found;
    for (const element of root.querySelectorAll("*")) {
      const inside = element.shadowRoot === null ? null : deep(element.shadowRoot, selector);
      if (inside !== null) return inside;
    }
    return null;
  }
  document.getElementById("skip")?.addEventListener("click", (event) => {
    event.preventDefault();
    const main = deep(document, "[role=main]");
    main?.setAttribute("tabindex", "-1");
    main?.focus();
  });
  const again = () => mended(document);
  again();
  for (const wait of [300, 1000, 3000, 8000]) setTimeout(again, wait);
})();
