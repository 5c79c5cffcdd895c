"""A small app for the tests of what all dashboards share: it names branches, looks, and fails."""


def app(session):
    import panel as pn
    from bokeh.plotting import figure

    import twinkit as tk
    from twinkit.view.dashboard.page import page, picture

    name = pn.widgets.TextInput(name="Branch", max_length=100_000_000)
    height = pn.widgets.FloatSlider(name="Height [m]", start=0, end=60, value=30)
    count = pn.widgets.IntInput(name="Sites", value=3)
    check = pn.widgets.Checkbox(name="Only people")
    kind = pn.widgets.RadioButtonGroup(name="Kind", options=["coarse", "fine"])
    save = pn.widgets.Button(name="Save branch", disabled=not session.may("planner"))
    count_sites = pn.widgets.Button(name="Count sites", button_type="primary")
    fail = pn.widgets.Button(name="Fail")
    answer = pn.pane.HTML("")

    def saved(_):
        chosen = name.value
        session.act("planner", lambda: tk.branch(session.store, session.text(chosen)), done=f"saved {chosen[:30]}")

    def counted(_):
        found = session.act("viewer", lambda: session.reopen()["sites"].sizes["site"])
        answer.object = "" if found is None else f"<p id=answer>{found} sites</p>"

    save.on_click(saved)
    count_sites.on_click(counted)
    fail.on_click(lambda _: session.act("viewer", lambda: 1 / 0))
    line = figure(height=260, sizing_mode="stretch_width", x_axis_label="time [h]", y_axis_label="load [1]")
    line.line([0, 1, 2], [0.2, 0.6, 0.4])
    twin = session.twin
    return page(
        session,
        "Small",
        controls=[name, save, height, count, check, kind, count_sites, fail],
        pictures=[
            answer,
            picture("Load [1]", line, alt="The load rises to 0.6 and falls.", name="load", language=session.language),
            picture(
                "People [people/km²]",
                tk.view.map_of(twin["surface/people"], language=session.language),
                name="people",
                language=session.language,
            ),
        ],
    )
