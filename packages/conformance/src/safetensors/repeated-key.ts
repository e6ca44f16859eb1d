const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const COMMA = 0x2c

/**
 * The first key that occurs twice in one object of a JSON text, if any. `JSON.parse` keeps the last of them in
 * silence, so that two readers of one file can see different tensors. The text must be valid JSON.
 */
export function repeatedKey(json: string): string | undefined {
  /** Keys of every open object, innermost last; an array has none. */
  const open: (Set<string> | undefined)[] = []
  let atKey = false
  for (let i = 0; i < json.length; i++) {
    switch (json.charCodeAt(i)) {
      case OPEN_OBJECT:
        open.push(new Set())
        atKey = true
        break
      case OPEN_ARRAY:
        open.push(undefined)
        atKey = false
        break
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        open.pop()
        break
      case COMMA:
        atKey = open.at(-1) !== undefined
        break
      case QUOTE: {
        const end = stringEnd(json, i)
        if (atKey) {
          const key: string = JSON.parse(json.slice(i, end))
          const keys = open.at(-1)
          if (keys?.has(key)) return key
          keys?.add(key)
          atKey = false
        }
        i = end - 1
      }
    }
  }
  return undefined
}

/** Index after the string that starts at `start`. */
function stringEnd(json: string, start: number): number {
  let i = start + 1
  while (json.charCodeAt(i) !== QUOTE) i += json.charCodeAt(i) === BACKSLASH ? 2 : 1
  return i + 1
}
