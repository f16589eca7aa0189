// "Guess the hidden token": the reader and the players of a run (chance, counting, models) share a probability of
// one among the candidates of each round; who gives the hidden token p pays -log2 p bits. The data are in the page.
addEventListener("DOMContentLoaded", () => document.querySelectorAll(".guess-game").forEach(playGame));

function playGame(root) {
  const games = JSON.parse(root.querySelector("script").textContent);
  const kinds = { text: "Text", dna: "DNA", protein: "Protein" };
  const names = { chance: "Token frequencies (chance)", counting: "Counting", models: "Models (mean)", reader: "You" };
  const rounds = Math.max(...games.map((game) => game.rounds.length));
  const turns = [...Array(rounds).keys()].flatMap((i) => games.map((game) => ({ game, round: game.rounds[i] })));
  const order = turns.filter((turn) => turn.round);
  const paid = games.map(() => ({ chance: [], counting: [], models: [], reader: [] }));
  let turn = -1;
  let open = false; // whether a guess is awaited

  const make = (tag, className = "", text = "", parent = null) => {
    const element = document.createElement(tag);
    element.className = className;
    element.textContent = text;
    if (parent) parent.append(element);
    return element;
  };
  const button = (className, text, parent, act) => {
    const element = make("button", className, text, parent);
    element.type = "button";
    element.addEventListener("click", act);
    return element;
  };
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const bits = (p) => -Math.log2(p);
  const percent = (p) => (p < 0.005 ? "<1" : Math.round(100 * p)) + "\u00a0%";

  const title = make("p", "guess-title", "", root);
  title.tabIndex = -1;
  const strip = make("p", "guess-window", "", root);
  const sure = make("fieldset", "guess-sure", "", root);
  make("legend", "", "How sure are you?", sure);
  for (const [share, word] of [[0.4, "hunch"], [0.7, "likely"], [0.95, "sure"]]) {
    const label = make("label", "", "", sure);
    const radio = make("input", "", "", label);
    Object.assign(radio, { type: "radio", name: "sure", value: share, checked: share === 0.7 });
    label.append(` ${word} ${percent(share)}`);
  }
  const table = make("table", "guess-candidates", "", root);
  const below = make("p", "guess-buttons", "", root);
  const noIdea = button("", "No idea (0)", below, () => answer(null));
  const next = button("guess-next", "Next round (Enter)", below, begin);
  const said = make("p", "guess-said", "", root);
  said.setAttribute("role", "status");
  const board = make("table", "guess-board", "", root);

  function begin(event) {
    turn += 1;
    const { game, round } = order[turn];
    title.textContent = `Round ${turn + 1} of ${order.length}: ${kinds[game.kind]} (${game.condition})`;
    strip.replaceChildren(
      ...round.tokens.map((token, place) => {
        const hidden = place === round.at;
        return make(hidden ? "mark" : "span", "", hidden ? "?" : token.replaceAll("␣", " "));
      }),
    );
    const head = make("tr");
    for (const name of ["Candidate", "You", "Counting", "Models"]) make("th", "", name, head).scope = "col";
    const rows = round.candidates.map((token, place) => {
      const row = make("tr");
      const cell = make("th", "", "", row);
      cell.scope = "row";
      button("guess-candidate", token, cell, () => answer(place)).dataset.key = place + 1;
      for (let column = 0; column < 3; column += 1) make("td", "", "", row);
      return row;
    });
    table.replaceChildren(head, ...rows);
    said.textContent = "";
    next.disabled = true;
    noIdea.disabled = false;
    open = true;
    if (event) title.focus();
  }

  function answer(choice) {
    if (!open) return;
    open = false;
    const { game, round } = order[turn];
    const count = round.candidates.length;
    const share = Number(sure.querySelector(":checked").value);
    const given = (place) => (choice === null ? 1 / count : place === choice ? share : (1 - share) / (count - 1));
    const reader = round.candidates.map((_, place) => given(place));
    const models = round.candidates.map((_, place) => mean(round.models.map((member) => member[place])));
    const now = {
      chance: bits(1 / count),
      counting: bits(round.counting[round.truth]),
      models: mean(round.models.map((member) => bits(member[round.truth]))),
      reader: bits(reader[round.truth]),
    };
    for (const player of Object.keys(now)) paid[games.indexOf(game)][player].push(now[player]);
    [...table.rows].slice(1).forEach((row, place) => {
      row.classList.toggle("guess-true", place === round.truth);
      [reader, round.counting, models].forEach((player, column) => {
        const cell = row.cells[column + 1];
        cell.textContent = percent(player[place]);
        cell.style.setProperty("--share", player[place]);
      });
      row.querySelector("button").disabled = true;
    });
    strip.querySelector("mark").textContent = round.candidates[round.truth].replaceAll("␣", " ");
    const [you, counting, model, chance] = ["reader", "counting", "models", "chance"].map((p) => now[p].toFixed(2));
    const last = turn + 1 === order.length ? " That was the last round." : "";
    said.textContent =
      `It was ${round.candidates[round.truth]}. You pay ${you} bits, counting ${counting}, the models ${model}; ` +
      `chance is ${chance}.${last}`;
    noIdea.disabled = true;
    next.disabled = last !== "";
    score();
    next.focus();
  }

  function score() {
    const most = 2 * Math.max(...games.map((game) => bits(1 / game.rounds[0].candidates.length)));
    const rows = [make("tr"), ...Object.keys(names).map(() => make("tr"))];
    make("th", "", "Mean bits a round", rows[0]).scope = "col";
    games.forEach((game) => (make("th", "", kinds[game.kind], rows[0]).scope = "col"));
    Object.keys(names).forEach((player, line) => {
      make("th", "", names[player], rows[line + 1]).scope = "row";
      games.forEach((game, place) => {
        const own = paid[place][player];
        const cell = make("td", "", own.length ? mean(own).toFixed(2) : "–", rows[line + 1]);
        cell.style.setProperty("--share", own.length ? Math.min(1, mean(own) / most) : 0);
        cell.dataset.player = player;
        if (player in game.means) make("small", "", `all ${game.n}: ${game.means[player].toFixed(2)}`, cell);
      });
    });
    board.replaceChildren(...rows);
  }

  addEventListener("keydown", (event) => {
    const typing = event.target.closest("textarea, select, input:not([type=radio])");
    if (typing || event.ctrlKey || event.altKey || event.metaKey || !/^\d$/.test(event.key)) return;
    if (event.key === "0") answer(null);
    else if (Number(event.key) <= order[turn].round.candidates.length) answer(Number(event.key) - 1);
  });
  begin();
  score();
}
