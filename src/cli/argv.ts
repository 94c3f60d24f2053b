/**
 * The command line in one strict form, before @effect/cli reads it. The library takes the value of an option for a
 * command when it is called like one (`backy -b restore status`), the word after a flag for the flag's value
 * (`-f 1`), and knows neither `-bDIR` nor global options behind the command. What it gets from here is
 * `--global=value command --option value -- arguments`, with nothing left to guess.
 */
import * as Command from "@effect/cli/Command"
import type * as Usage from "@effect/cli/Usage"
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { closest } from "../domain/closest.ts"
import * as Help from "./help.ts"

/** The words of one command: its options and its subcommands; and what its help says. */
export interface Grammar {
  readonly options: Words
  /** What every command has besides. */
  readonly builtIn: Words
  readonly commands: ReadonlyMap<string, Grammar>
  readonly describe: () => Help.Description
}

/** Options by each of their names. */
type Words = ReadonlyMap<string, { readonly name: string; readonly takesValue: boolean }>

/** The command line cannot be understood. */
export class CommandLineInvalid extends Data.TaggedError("CommandLineInvalid")<{ readonly reason: string }> {
  override get message() {
    return this.reason
  }
}

const builtIn: Words = new Map([
  ["-h", { name: "--help", takesValue: false }],
  ["--help", { name: "--help", takesValue: false }],
  ["--version", { name: "--version", takesValue: false }],
  ["--completions", { name: "--completions", takesValue: true }],
  ["--log-level", { name: "--log-level", takesValue: true }]
])

/** Reads the options of a command off its usage. */
export const grammar = <Name extends string, R, E, A>(
  command: Command.Command<Name, R, E, A>,
  commands: Readonly<Record<string, Grammar>> = {}
): Grammar => ({
  options: new Map(optionsOf(Command.getUsage(command))),
  builtIn,
  commands: new Map(Object.entries(commands)),
  describe: () => Help.describe(command)
})

function* optionsOf(usage: Usage.Usage): Generator<[string, { name: string; takesValue: boolean }]> {
  switch (usage._tag) {
    case "Named": {
      const long = usage.names.find((name) => name.startsWith("--"))
      if (long === undefined) return
      for (const name of usage.names) yield [name, { name: long, takesValue: Option.isSome(usage.acceptedValues) }]
      return
    }
    case "Optional":
    case "Repeated":
      yield* optionsOf(usage.usage)
      return
    case "Alternation":
    case "Concat":
      yield* optionsOf(usage.left)
      yield* optionsOf(usage.right)
      return
    case "Empty":
    case "Mixed":
  }
}

/** What a command line asks for. */
export interface Request {
  /** The strict form. */
  readonly words: ReadonlyArray<string>
  /** The command that it names, such as `["tags", "set"]`. */
  readonly commands: ReadonlyArray<string>
  readonly command: Grammar
  /** Whether to run it, or to tell of it; a group of commands alone can only be told of. */
  readonly wants: "run" | "help" | "version" | "completions"
  /** The shell that `--completions` names. */
  readonly shell: string | undefined
}

/** Understands the arguments that follow the program's name. */
export const parse = (root: Grammar, argv: ReadonlyArray<string>): Either.Either<Request, CommandLineInvalid> => {
  const globals: Array<string> = []
  const commands: Array<string> = []
  const options: Array<string> = []
  const operands: Array<string> = []
  let command = root
  const invalid = (reason: string) => Either.left(new CommandLineInvalid({ reason }))

  const rest = [...argv]
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--") {
      operands.push(...rest)
      break
    }
    if (word === "-" || !word.startsWith("-")) {
      const next = command.commands.get(word)
      if (next !== undefined) {
        commands.push(word)
        command = next
      } else if (command.commands.size > 0) {
        const where = ["backy", ...commands].join(" ")
        return invalid(
          `${where} has no command "${word}"${suggest(word, command.commands.keys())} (see ${where} --help)`
        )
      } else {
        operands.push(word)
      }
      continue
    }
    const { glued, name: given } = split(word)
    const own = command.options.get(given)
    const known = own ?? root.options.get(given) ?? builtIn.get(given)
    if (known === undefined) {
      const all = [...command.options.keys(), ...root.options.keys(), ...builtIn.keys()]
      return invalid(
        `there is no option ${given}${suggest(given, all)} (see ${["backy", ...commands].join(" ")} --help)`
      )
    }
    const isGlobal = own === undefined || command === root
    if (known.takesValue) {
      const value = glued ?? rest.shift()
      if (value === undefined || value === "") return invalid(`option ${given} needs a value`)
      // the library does not understand it, and says something else
      if (isGlobal && /[\r\n]/.test(value)) return invalid(`the value of option ${given} has a line break in it`)
      if (isGlobal) addGlobal(globals, known.name, value)
      else options.push(known.name, value)
    } else {
      if (glued !== undefined && given.startsWith("--")) return invalid(`option ${given} takes no value`)
      if (isGlobal) globals.push(known.name)
      else options.push(known.name)
      // `-vf` is `-v -f`
      if (glued !== undefined) rest.unshift(`-${glued}`)
    }
  }
  return Either.right({
    words: [...globals, ...commands, ...options, ...operands.length === 0 ? [] : ["--", ...operands]],
    commands,
    command,
    ...wanted(globals, command)
  })
}

/** The library knows no option of the root that may stand twice: the paths of several are one, with colons. Its own come first. */
const addGlobal = (globals: Array<string>, name: string, value: string): void => {
  // it takes what stands behind an option of ours for a command
  if (builtIn.has(name)) return void globals.unshift(`${name}=${value}`)
  const at = name === "--plugin" ? globals.findIndex((word) => word.startsWith("--plugin=")) : -1
  if (at < 0) globals.push(`${name}=${value}`)
  else globals[at] += `:${value}`
}

/** `--wait=5m` and `-r0` in their parts. */
const split = (word: string): { readonly name: string; readonly glued: string | undefined } => {
  const end = word.startsWith("--") ? word.indexOf("=") : 2
  if (end < 0 || end >= word.length) return { name: word, glued: undefined }
  return { name: word.slice(0, end), glued: word.slice(word.startsWith("--") ? end + 1 : end) }
}

const wanted = (globals: ReadonlyArray<string>, command: Grammar): Pick<Request, "wants" | "shell"> => {
  const shell = globals.find((word) => word.startsWith(COMPLETIONS))?.slice(COMPLETIONS.length)
  if (globals.includes("--help")) return { wants: "help", shell }
  if (globals.includes("--version")) return { wants: "version", shell }
  if (shell !== undefined) return { wants: "completions", shell }
  return { wants: command.commands.size > 0 ? "help" : "run", shell }
}

const COMPLETIONS = "--completions="

const suggest = (word: string, words: Iterable<string>): string => {
  // a letter alone is as near to one as to any other
  const similar = /^-.$/.test(word) ? undefined : closest(word, words)
  if (similar === undefined) return ""
  return `; did you mean ${word.startsWith("-") ? similar : `"${similar}"`}?`
}
