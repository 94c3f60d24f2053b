/** Answers on standard output: tables, JSON, lines. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { escaped, printable } from "../domain/printable.ts"

/** One column: its title, where its text stands, and the cell of each row. */
export interface Column<Row> {
  readonly title: string
  readonly align?: "left" | "right"
  readonly cell: (row: Row) => string
}

/** Lines of a table. Columns are two spaces apart and an empty cell is `-`, so that `awk` finds its way, too. */
export const table = <Row>(columns: ReadonlyArray<Column<Row>>, rows: ReadonlyArray<Row>): ReadonlyArray<string> => {
  const cells = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map(({ cell }) => printable(cell(row)) || "-"))
  ]
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => line[index]?.length ?? 0)))
  return cells.map((line) =>
    line
      .map((text, index) => {
        const width = widths[index] ?? 0
        return columns[index]?.align === "right" ? text.padStart(width) : text.padEnd(width)
      })
      .join("  ")
      .trimEnd()
  )
}

/** Prints an answer, a line each, whatever they quote. */
export const lines = (texts: ReadonlyArray<string>): Effect.Effect<void> => text(texts.map(printable))

/** Prints lines as they are: data for scripts, or what was made printable before. */
export const text = (texts: ReadonlyArray<string>): Effect.Effect<void> =>
  texts.length === 0 ? Effect.void : Console.log(texts.join("\n"))

/** Prints a value as JSON that people can read, too: what `printable` would show otherwise is escaped as JSON does. */
export const json = (value: unknown): Effect.Effect<void> => Console.log(escaped(JSON.stringify(value, null, 2)))
