/**
 * Help that fits on a screen. @effect/cli's own takes six lines for an option; its description of each command is set
 * anew here, in the way of man pages.
 */
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import type { HelpDoc } from "@effect/cli/HelpDoc"
import type { Span } from "@effect/cli/HelpDoc/Span"

/** What can be said of a command. */
export interface Description {
  readonly summary: string
  readonly operands: ReadonlyArray<Entry>
  readonly options: ReadonlyArray<Entry>
}

/** An option or argument: how it is written, what it is for, whether it may be left out. */
export interface Entry {
  readonly term: string
  readonly text: string
  readonly isOptional: boolean
}

const WIDTH = 100

/** Sentences of the library on the kind of a value, which its name says already. */
const OPTIONAL = /^This (setting|argument|option) is optional/
const NOISE = /^(A true or false value|A user-defined piece of text|One of the following: )/

/** Reads a command's description off the library. */
export const describe = <Name extends string, R, E, A>(command: Command.Command<Name, R, E, A>): Description => {
  let section = ""
  let summary = ""
  const entries: Record<string, Array<Entry>> = { ARGUMENTS: [], OPTIONS: [] }
  for (const block of flatten(Command.getHelp(command, CliConfig.make({ showBuiltIns: false })))) {
    if (block._tag === "Header") section = textOf(block.value)
    if (block._tag === "Paragraph" && section === "DESCRIPTION") summary = textOf(block.value)
    if (block._tag === "DescriptionList") entries[section]?.push(...block.definitions.map(toEntry))
  }
  return { summary, operands: entries.ARGUMENTS ?? [], options: entries.OPTIONS ?? [] }
}

const toEntry = ([term, body]: readonly [Span, HelpDoc]): Entry => {
  const sentences = flatten(body).flatMap((block) => block._tag === "Paragraph" ? [textOf(block.value)] : [])
  return {
    term: textOf(term).replaceAll(/[()<>[\]]/g, ""),
    text: sentences.filter((sentence) => !OPTIONAL.test(sentence) && !NOISE.test(sentence)).join(" "),
    isOptional: sentences.some((sentence) => OPTIONAL.test(sentence))
  }
}

const flatten = (doc: HelpDoc): ReadonlyArray<HelpDoc> =>
  doc._tag === "Sequence" ? [...flatten(doc.left), ...flatten(doc.right)] : [doc]

const textOf = (span: Span): string => {
  switch (span._tag) {
    case "Text":
    case "URI":
      return span.value
    case "Sequence":
      return textOf(span.left) + textOf(span.right)
    case "Highlight":
    case "Strong":
    case "Weak":
      return textOf(span.value)
  }
}

/** `restore [-r SPEC] [-f] TARGET`. */
export const usage = (name: string, { operands, options }: Description): string =>
  [
    name,
    ...options.map(({ isOptional, term }) => {
      // `-r, --revision SPEC` is `-r SPEC` for short
      const short = term.replace(/^(-\w), --[\w-]+/, "$1")
      return isOptional ? `[${short}]` : short
    }),
    ...operands.map(({ isOptional, term }) => isOptional ? `[${term}]` : term)
  ].join(" ")

/** Options and arguments in two columns. */
const list = (entries: ReadonlyArray<Omit<Entry, "isOptional">>): ReadonlyArray<string> => {
  const terms = entries.map(({ term }) => term.startsWith("--") ? `    ${term}` : term)
  const width = Math.max(...terms.map((term) => term.length)) + 4
  return entries.flatMap(({ text }, index) =>
    wrap(text, WIDTH - width).map((line, row) =>
      `${(row === 0 ? `  ${terms[index] ?? ""}` : "").padEnd(width)}${line}`.trimEnd()
    )
  )
}

const wrap = (text: string, width: number): ReadonlyArray<string> => {
  const lines = [""]
  for (const word of text.split(" ")) {
    const line = lines.at(-1) ?? ""
    if (line !== "" && line.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`
  }
  return lines
}

/** Something with a name and a description; and subcommands, if it is a group of those. */
interface Topic {
  readonly describe: () => Description
  readonly commands: ReadonlyMap<string, Topic>
}

/** The help of a command, or of backy as a whole when `path` is empty. */
export const page = (path: ReadonlyArray<string>, topic: Topic, version: string): ReadonlyArray<string> => {
  const description = topic.describe()
  const commands = commandsOf(topic, [])
  if (path.length > 0) {
    const entries = [...description.operands, ...description.options]
    return [
      `backy ${usage(path.join(" "), description)}${commands.length > 0 ? " COMMAND" : ""}`,
      "",
      description.summary,
      ...entries.length > 0 ? ["", ...list(entries)] : [],
      ...commands.length > 0 ? ["", ...list(commands)] : []
    ]
  }
  return [
    `backy ${version}  ${description.summary}`,
    "",
    `${usage("backy", description)} COMMAND`,
    "",
    ...list(commands),
    "",
    "Options of backy itself:",
    ...list([
      ...description.options,
      {
        term: "--log-level LEVEL",
        text: "How important a log line has to be: all, debug, info, warning, error, none."
      },
      { term: "--completions SHELL", text: "Print a completion script for bash, fish or zsh." },
      { term: "--version", text: "Print the version." },
      { term: "-h, --help", text: "Print this help, or that of a command: backy restore --help" }
    ]),
    "",
    "Exit codes: 0 done, 1 failed, 2 not understood, 69 another scheduler runs, 70 a bug in backy,",
    "75 locked by another process, 130, 143 and others above 128 ended by a signal.",
    "Those of check: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."
  ]
}

const commandsOf = (topic: Topic, path: ReadonlyArray<string>): ReadonlyArray<Omit<Entry, "isOptional">> =>
  [...topic.commands].flatMap(([name, { commands, describe }]) => {
    const here = [...path, name]
    if (commands.size > 0) return commandsOf({ commands, describe }, here)
    const description = describe()
    const operands = usage(here.join(" "), {
      ...description,
      options: description.options.filter((one) => !one.isOptional)
    })
    return [{ term: operands, text: description.summary }]
  })
