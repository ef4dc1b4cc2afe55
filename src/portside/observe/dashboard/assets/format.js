// Numbers, sizes, ages and addresses as people read them: the same words as `portside ps`.

export function bytes(count) {
  if (count === null || count === undefined) return "–";
  const units = ["B", "K", "M", "G", "T"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1024;
    unit += 1;
  }
  if (unit === 0) return `${Math.round(count)} B`;
  return `${count.toFixed(count < 10 ? 2 : count < 100 ? 1 : 0)} ${units[unit]}`;
}

export const byteRate = (count) => (count === null ? "–" : `${bytes(count)}/s`);

const whole = new Intl.NumberFormat("en");
export const number = (count) => (count === null || count === undefined ? "–" : whole.format(count));

export function age(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  seconds = Math.max(0, seconds);
  if (seconds < 60) return `${Math.floor(seconds)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${two(seconds % 60)}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h ${two(minutes % 60)}m`;
  return `${Math.floor(hours / 24)}d ${two(hours % 24)}h`;
}

const two = (value) => String(Math.floor(value)).padStart(2, "0");

export function address(value) {
  if (!value) return "";
  if (value.path !== undefined) return value.path ? `unix:${value.path}` : "unnamed";
  return `${value.host.includes(":") ? `[${value.host}]` : value.host}:${value.port}`;
}

export const percent = (share) => (share === null ? "–" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`);

export const clock = (date) => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;

export const exactClock = (date) => `${clock(date)}.${String(date.getMilliseconds()).padStart(3, "0")}`;

export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
