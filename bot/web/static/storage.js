// What this device remembers: its conversations (ids and titles, never their text), the ratings
// given here, and whether the list is open. Other people's conversations are not on this list.

const CONVERSATIONS = "kiku.conversations";
const RATINGS = "kiku.ratings";
const MOST = 500;
const fallback = new Map(); // where storage is switched off: until the page is closed

function read(name, otherwise) {
  try {
    const text = localStorage.getItem(name);
    const value = text === null ? otherwise : JSON.parse(text);
    return Array.isArray(value) === Array.isArray(otherwise) && value ? value : otherwise;
  } catch {
    return fallback.get(name) ?? otherwise;
  }
}

function write(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    fallback.set(name, value);
  }
}

/** [{id, title, updated_at}], newest first. */
export function conversations() {
  return read(CONVERSATIONS, []).filter((one) => one && typeof one.id === "string" && typeof one.title === "string");
}

export function remember(id, title) {
  const all = conversations();
  const known = all.find((one) => one.id === id);
  const entry = { id, title: known?.title ?? [...title.replace(/\s+/g, " ").trim()].slice(0, 80).join(""), updated_at: new Date().toISOString() };
  write(CONVERSATIONS, [entry, ...all.filter((one) => one.id !== id)].slice(0, MOST));
}

export function forget(id) {
  write(CONVERSATIONS, conversations().filter((one) => one.id !== id));
}

export function ratingOf(answerId) {
  return read(RATINGS, []).find(([id]) => id === answerId)?.[1] ?? null;
}

export function rememberRating(answerId, rating) {
  const others = read(RATINGS, []).filter(([id]) => id !== answerId);
  write(RATINGS, [[answerId, rating], ...others].slice(0, MOST));
}

/** A setting of this device: text, or null. */
export function setting(name) {
  try {
    return localStorage.getItem(`kiku.${name}`);
  } catch {
    return fallback.get(name) ?? null;
  }
}

export function keep(name, value) {
  try {
    if (value === null) localStorage.removeItem(`kiku.${name}`);
    else localStorage.setItem(`kiku.${name}`, value);
  } catch {
    fallback.set(name, value);
  }
}
