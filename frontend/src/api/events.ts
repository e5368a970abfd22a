export type ServerEvent = { event: string; data: string };

/** Reads text/event-stream: text chunks in, events out. Lines end in CR, LF or both; comments and ids are skipped. */
export function eventReader(): (chunk: string) => ServerEvent[] {
  let rest = "";
  return (chunk) => {
    rest += chunk;
    const held = rest.endsWith("\r") ? "\r" : ""; // its LF may be in the next chunk
    const blocks = rest.slice(0, rest.length - held.length).replace(/\r\n?/g, "\n").split("\n\n");
    rest = (blocks.pop() ?? "") + held;
    return blocks.map(parse).filter((event) => event !== null);
  };
}

function parse(block: string): ServerEvent | null {
  let event = "message";
  const data: string[] = [];
  for (const line of block.split("\n")) {
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
    if (field === "event") event = value ?? event;
    else if (field === "data") data.push(value ?? "");
  }
  return data.length ? { event, data: data.join("\n") } : null;
}
