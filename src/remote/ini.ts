/** The files of AWS's own tools: sections in brackets with `key = value` lines; nested and unknown things are passed over. */

/** The keys of each section, in lower case. Of a key that stands there twice, the last one counts. */
export const parse = (text: string): ReadonlyMap<string, ReadonlyMap<string, string>> => {
  const sections = new Map<string, Map<string, string>>()
  let section: Map<string, string> | undefined
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*[#;]/.test(line)) continue
    const name = /^\s*\[([^\]]*)\]/.exec(line)?.[1]?.trim()
    if (name !== undefined) {
      section = sections.get(name) ?? new Map()
      sections.set(name, section)
      continue
    }
    // an indented line belongs to a table within the key before it
    const [, key, value] = /^([^\s=][^=]*?)\s*=\s*(.*?)(?:\s+[#;].*)?\s*$/.exec(line) ?? []
    if (key !== undefined && value !== undefined) section?.set(key.toLowerCase(), value)
  }
  return sections
}
