// The page at `/` of the demo: two people, what one does reaching the other, and the server's work in between. `person`
// is one of the two, `session` keeps their connection going by the rules of `ladder`, over the four `links`, through a
// `network` that can be cut; `engine` shows the work.
import { Engine, Journeys } from "./engine.js";
import { NAMES } from "./ladder.js";
import { Api } from "./api.js";
import { Network } from "./network.js";
import { Person } from "./person.js";
import { count } from "./cards.js";

const SAYS = {
  demo: ["Hello Ben! Can you see this?", "The ferry is on time today.", "Coffee at four, usual place?", "One more, while I am at it.", "That was quick."],
  friend: ["Hi Ada, loud and clear!", "I was in a tunnel. What did I miss?", "See you at four.", "Nothing got lost, how nice."],
};

/** What was done, and what became of it, in words. */
const DONE = {
  post: ["posted", "is on the screen of"],
  reply: ["replied", "rang the bell of"],
  mention: ["named", "rang the bell of"],
  like: ["liked a post", "rang the bell of"],
  follow: ["followed", "rang the bell of"],
  repost: ["reposted", "rang the bell of"],
  message: ["wrote", "is in the chat of"],
};

const $ = (id) => document.getElementById(id);

const engineApi = new Api(new Network());
const page = {
  engine: new Engine(engineApi),
  journeys: new Journeys(),
  people: [],

  /** Something of `from` arrived at `to`. */
  delivered(kind, from, to, { ms, ackMs, transport }) {
    const [did, arrived] = DONE[kind] ?? DONE.post;
    const reach = page.engine.reach(from.api.user.id);
    const stations = [[`${from.name} ${did}`, "0 ms"], ["durable on disk, acknowledged", `${count(ackMs)} ms`]];
    if (kind === "post" && reach) {
      const where = { pushed: "pushed into", late: "pushed, in slices, into", pulled: "left to be pulled by" }[reach.delivery];
      stations.push([`${where} ${count(reach.timelines)} timelines`, `of ${count(reach.followers)} followers`]);
    }
    stations.push([`${arrived} ${to.name}`, `${count(ms)} ms`]);
    page.engine.way(`${from.name} ${did}. It reached ${to.name} in`, ms, NAMES[transport], stations);
    if (kind === "post") page.done("post");
    if (to === page.people[0] && !["post", "mention", "message"].includes(kind)) page.done("bell");
  },

  /** What people did, for the steps to tick. */
  story(what) {
    if (what === "caught") page.done("cut");
  },

  /** Ticks a step; the first that is not done is the one to do. */
  done(step) {
    $(`step-${step}`).dataset.done = "true";
    $(`step-${step}`).querySelector(".tick").textContent = "done";
    const steps = [...$("steps").children];
    for (const one of steps) delete one.dataset.next;
    const next = steps.find((one) => !one.dataset.done);
    if (next) next.dataset.next = "true";
  },
};

async function start() {
  page.people = [
    new Person("demo", $("left"), SAYS.demo, page),
    new Person("friend", $("right"), SAYS.friend, page),
  ];
  const [ada, ben] = page.people;
  await Promise.all(page.people.map((person) => person.logIn()));
  engineApi.token = ada.api.token;
  page.engine.played = page.people.map((person) => person.api.user.id);
  page.engine.start();
  await Promise.all([ada.start(ben), ben.start(ada)]);
  document.body.dataset.ready = "true";
}

$("quiet").addEventListener("click", () => {
  const quiet = $("quiet").getAttribute("aria-pressed") !== "true";
  $("quiet").setAttribute("aria-pressed", String(quiet));
  $("quiet").textContent = quiet ? "Let the town go on" : "Pause the town";
  for (const person of page.people) person.setQuiet(quiet);
});

start().catch((error) => {
  $("trouble").textContent = `The demo cannot begin: ${error.message}. Reload the page to try again.`;
  $("trouble").hidden = false;
});
