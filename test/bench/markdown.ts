/** Numbers and tables as people read them. */

const digits = (value: number): string =>
  value === 0 ? "0" : value.toFixed(Math.min(3, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))))

/** `1.23 s`, `456 ms`. */
export const seconds = (value: number | undefined): string =>
  value === undefined ? "" : value < 1 ? `${Math.round(value * 1000)} ms` : `${digits(value)} s`

/** `1.23 GiB`; with three digits. */
export const bytes = (value: number | undefined): string => {
  if (value === undefined) return ""
  const power = value < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(value) / 10))
  return `${digits(value / 1024 ** power)} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`
}

/** `1,234`. */
export const count = (value: number): string => String(Math.round(value)).replaceAll(/\B(?=(\d{3})+$)/g, ",")

/** `85 %`. */
export const percent = (share: number): string => `${Math.round(share * 100)} %`

/** `0.85`. */
export const ratio = (value: number): string => value.toFixed(2)

/** A table; all columns but the first are numbers, unless their title is in `words`. */
export const table = (
  titles: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  words: ReadonlyArray<string> = []
): string =>
  [
    titles,
    titles.map((title, index) => index === 0 || words.includes(title) ? "---" : "---:"),
    ...rows.map((row) => titles.map((_, index) => row[index] ?? ""))
  ].map((cells) => `| ${cells.join(" | ")} |`).join("\n")
