/**
 * The little XML that S3 speaks, from a store that is not trusted: elements, text and the five predefined entities.
 * Document types, and with them all entities that grow, are refused; so is what is nested deeper than S3 ever does.
 */
export interface Element {
  readonly name: string
  readonly children: ReadonlyArray<Element>
  /** The text directly in it. */
  readonly text: string
}

const MAX_DEPTH = 8

const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: "\"", apos: "'" }

const unescape = (text: string): string | undefined => {
  let known = true
  const plain = text.replaceAll(/&(#x[0-9a-fA-F]{1,6}|#[0-9]{1,7}|\w{1,8});|&/g, (_, name: string | undefined) => {
    const code = name?.startsWith("#x") === true
      ? Number.parseInt(name.slice(2), 16)
      : name?.startsWith("#") === true
      ? Number(name.slice(1))
      : undefined
    const character = code === undefined
      ? entities[name ?? ""]
      : code > 0 && code <= 0x10ffff
      ? String.fromCodePoint(code)
      : undefined
    known &&= character !== undefined
    return character ?? ""
  })
  return known ? plain : undefined
}

interface Open {
  readonly name: string
  readonly children: Array<Element>
  text: string
}

/** The root element of a document, or `undefined` for whatever is none. Attributes and namespaces are passed over. */
export const parse = (document: string): Element | undefined => {
  const open: Array<Open> = []
  let root: Element | undefined
  const token = /<\?[^?]*\?>|<!--[^]*?-->|<(\/?)([\w.:-]+)((?:\s[^<>]*?)?)(\/?)>|([^<]+)/gy
  while (token.lastIndex < document.length) {
    const match = token.exec(document)
    if (match === null) return undefined
    const [, closing, name, , empty, raw] = match
    const inner = open.at(-1)
    if (raw !== undefined) {
      const text = unescape(raw)
      if (text === undefined || (inner === undefined && text.trim() !== "" && text.trim() !== "\ufeff")) {
        return undefined
      }
      if (inner !== undefined) inner.text += text
    } else if (name !== undefined) {
      if (closing === "/") {
        if (inner?.name !== name) return undefined
        open.pop()
        const parent = open.at(-1)
        if (parent === undefined) root = inner
        else parent.children.push(inner)
      } else {
        if (root !== undefined || open.length === MAX_DEPTH) return undefined
        const element: Open = { name, children: [], text: "" }
        if (empty !== "/") open.push(element)
        else if (inner === undefined) root = element
        else inner.children.push(element)
      }
    }
  }
  return open.length === 0 ? root : undefined
}

/** The text of an element's first child of a name. */
export const textOf = (element: Element, name: string): string | undefined =>
  element.children.find((child) => child.name === name)?.text
