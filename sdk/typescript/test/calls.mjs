// Every call that the SDK has.

/** Arguments of every call before its options; a call that is missing here fails a test. */
export const CALLS = {
  accounts: {
    register: [{ handle: "a", password: "p" }],
    logIn: ["a", "p"],
    logOut: [],
    logOutEverywhere: [],
    changePassword: ["p", "q"],
    delete: [],
  },
  users: {
    me: [],
    updateMe: [{}],
    get: ["1"],
    search: ["a"],
    follow: ["1"],
    unfollow: ["1"],
    block: ["1"],
    unblock: ["1"],
    mute: ["1"],
    unmute: ["1"],
    followers: ["1"],
    following: ["1"],
    posts: ["1"],
    blocks: [],
    mutes: [],
  },
  posts: {
    create: [{ text: "a" }],
    get: ["1"],
    delete: ["1"],
    like: ["1"],
    unlike: ["1"],
    likes: ["1"],
    replies: ["1"],
    thread: ["1"],
    public: [],
  },
  feed: { read: [], unread: [], markRead: ["1"] },
  notifications: { list: [], markRead: ["1"] },
  media: { upload: [new Blob(["a"])] },
  presence: { of: [["1"]], following: [], heartbeat: [] },
  realtime: { ticket: [], poll: ["c", 1], send: [[], "1"] },
  admin: {
    status: [],
    settings: [],
    changeSettings: [{}],
    setRole: ["1", "admin"],
    publish: [{ all: true }, "a.b", {}],
    sessions: [],
    closeSession: ["1"],
  },
};
/** Calls that ask nobody. */
export const ASKS_NOBODY = ["media.url"];
