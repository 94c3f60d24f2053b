/** The text form of revision specs: a parser by recursive descent, and the printer that undoes it. */
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import { hint } from "./closest.ts"
import * as LocalInstant from "./LocalInstant.ts"
import { isUnsafe } from "./printable.ts"
import { TrustLevel } from "./Revision.ts"
import type { RangeEnd, Reference, RevisionSpec } from "./RevisionSpec.ts"

/** The text is no revision spec. */
export class SpecInvalid extends Data.TaggedError("SpecInvalid")<{
  readonly spec: string
  /** Index of the character at which reading stopped. */
  readonly position: number
  readonly reason: string
}> {
  override get message() {
    return `${JSON.stringify(this.spec)} is no revision spec: ${this.reason} at character ${this.position + 1}`
  }

  /** The spec with a mark below the character at which reading stopped; two lines, for a terminal. */
  get marked(): string {
    // one column for each character, so that the mark stands where it belongs
    return `${this.spec.replaceAll(/./gsu, (character) => isUnsafe(character) ? "\uFFFD" : character)}\n${
      " ".repeat(this.position)
    }^`
  }
}

type Parsed<A> = Either.Either<A, SpecInvalid>

/** Brackets within brackets beyond this are a mistake, and would exhaust the stack. */
const MAX_DEPTH = 50

const SPACE = /\s*/y
const WORD = /(?:(?!\.\.)[^\s,&()])+/y

/** What stands before a bracket. */
const functions: Readonly<Record<string, "Not" | "Reverse" | "FirstOf" | "LastOf">> = {
  not: "Not",
  reverse: "Reverse",
  first: "FirstOf",
  last: "LastOf"
}

const keywords: Readonly<Record<string, RevisionSpec["_tag"] & ("Latest" | "First" | "All" | "Clean")>> = {
  latest: "Latest",
  last: "Latest",
  first: "First",
  all: "All",
  clean: "Clean"
}

/** Reads a revision spec. */
export const parse = (text: string): Parsed<RevisionSpec> => {
  const reader = new Reader(text)
  return Either.flatMap(reader.union(0), (spec) => reader.isAtEnd() ? Either.right(spec) : reader.unexpected("the end"))
}

class Reader {
  private readonly text: string
  private at = 0

  constructor(text: string) {
    this.text = text
  }

  isAtEnd(): boolean {
    this.match(SPACE)
    return this.at === this.text.length
  }

  /** `x, y`: what any of the parts names. */
  union(depth: number): Parsed<RevisionSpec> {
    return this.list("Or", ",", () => this.list("And", "&", () => this.operand(depth)))
  }

  private list(tag: "And" | "Or", operator: string, part: () => Parsed<RevisionSpec>): Parsed<RevisionSpec> {
    const parts: Array<RevisionSpec> = []
    do {
      const next = part()
      if (Either.isLeft(next)) return next
      parts.push(next.right)
    } while (this.eat(operator))
    return Either.right(parts.length === 1 ? parts[0]! : { _tag: tag, parts })
  }

  private operand(depth: number): Parsed<RevisionSpec> {
    if (depth > MAX_DEPTH) return this.fail("brackets are nested too deeply")
    if (this.eat("(")) return this.closed(this.union(depth + 1))
    if (this.eat("..")) return this.range(undefined)
    const start = this.at
    const date = this.date()
    if (date !== undefined) {
      return Either.flatMap(date, (from) =>
        this.eat("..")
          ? this.range(from)
          : this.fail(
            `a date alone names no revision (${LocalInstant.print(from.date)}..${LocalInstant.print(from.date)} does)`,
            start
          ))
    }
    const word = this.match(WORD)
    if (word === undefined) return this.unexpected("a revision")
    if (this.eat("(")) return this.call(word, depth, start)
    if (!this.eat("..")) return this.single(word, start)
    return Either.flatMap(this.end(word, start), (from) => this.range(from))
  }

  private call(name: string, depth: number, start: number): Parsed<RevisionSpec> {
    const tag = Object.hasOwn(functions, name) ? functions[name] : undefined
    return tag === undefined
      ? this.fail(`there is no function ${JSON.stringify(name)}${hint(name, Object.keys(functions))}`, start)
      : Either.map(this.closed(this.union(depth + 1)), (of): RevisionSpec => ({ _tag: tag, of }))
  }

  private closed(inner: Parsed<RevisionSpec>): Parsed<RevisionSpec> {
    return Either.flatMap(inner, (spec) => this.eat(")") ? Either.right(spec) : this.unexpected("\")\""))
  }

  /** What follows the two dots: another end, or nothing. */
  private range(from: RangeEnd | undefined): Parsed<RevisionSpec> {
    this.match(SPACE)
    const start = this.at
    const word = this.date() ?? this.match(WORD)
    if (word === undefined) return Either.right({ _tag: "Range", from, to: undefined })
    return Either.map(typeof word === "string" ? this.end(word, start) : word, (to): RevisionSpec => ({
      _tag: "Range",
      from,
      to
    }))
  }

  private date(): Parsed<Extract<RangeEnd, { _tag: "Date" }>> | undefined {
    this.match(SPACE)
    LocalInstant.PATTERN.lastIndex = this.at
    const match = LocalInstant.PATTERN.exec(this.text)
    if (match === null) return undefined
    const date = LocalInstant.fromMatch(match)
    if (date === undefined) return this.fail(`there is no such day or time as ${match[0]}`)
    this.at += match[0].length
    return Either.right({ _tag: "Date", date })
  }

  private end(word: string, start: number): Parsed<RangeEnd> {
    return Either.flatMap(this.single(word, start), (spec) =>
      isReference(spec)
        ? Either.right(spec)
        : this.fail("expected one revision or a date as the end of a range", start))
  }

  private single(word: string, start: number): Parsed<RevisionSpec> {
    if (/^[0-9]{1,9}$/.test(word)) return Either.right({ _tag: "Number", number: Number(word) })
    if (Object.hasOwn(keywords, word)) return Either.right({ _tag: keywords[word]! })
    const [, kind, value = ""] = /^(tag|trust):(.*)$/s.exec(word) ?? []
    if (kind === "tag") {
      return value === ""
        ? this.fail("expected the name of a tag", this.at)
        : Either.right({ _tag: "Tagged", tag: value })
    }
    if (kind === "trust") {
      const trust = TrustLevel.literals.find((level) => level === value)
      return trust === undefined
        ? this.fail(`there is no trust ${JSON.stringify(value)}${hint(value, TrustLevel.literals)}`, start)
        : Either.right({ _tag: "Trusted", trust })
    }
    return Either.right({ _tag: "Name", name: word })
  }

  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at
    const found = pattern.exec(this.text)?.[0]
    if (found === undefined) return undefined
    this.at += found.length
    return found
  }

  private eat(symbol: string): boolean {
    this.match(SPACE)
    if (!this.text.startsWith(symbol, this.at)) return false
    this.at += symbol.length
    return true
  }

  unexpected(wanted: string): Parsed<never> {
    if (this.isAtEnd()) return this.fail(`expected ${wanted}`)
    const found = /^(?:\.\.|[,&()]|(?:(?!\.\.)[^\s,&()])+)/.exec(this.text.slice(this.at))?.[0] ?? ""
    return this.fail(`expected ${wanted} instead of ${JSON.stringify(found)}`)
  }

  private fail(reason: string, position = this.at): Parsed<never> {
    return Either.left(new SpecInvalid({ spec: this.text, position, reason }))
  }
}

const isReference = (spec: RevisionSpec): spec is Reference =>
  spec._tag === "Name" || spec._tag === "Number" || spec._tag === "Latest" || spec._tag === "First"

/** The text of a spec; reading it gives the spec again. */
export const print = (spec: RevisionSpec): string => {
  switch (spec._tag) {
    case "Name":
      return spec.name
    case "Number":
      return String(spec.number)
    case "Latest":
    case "First":
    case "All":
    case "Clean":
      return spec._tag.toLowerCase()
    case "Tagged":
      return `tag:${spec.tag}`
    case "Trusted":
      return `trust:${spec.trust}`
    case "Range":
      return `${printEnd(spec.from)}..${printEnd(spec.to)}`
    case "Not":
    case "Reverse":
      return `${spec._tag.toLowerCase()}(${print(spec.of)})`
    case "FirstOf":
    case "LastOf":
      return `${spec._tag.slice(0, -2).toLowerCase()}(${print(spec.of)})`
    case "And":
    case "Or":
      return spec.parts.map((part) => isList(part) ? `(${print(part)})` : print(part)).join(
        spec._tag === "And" ? " & " : ", "
      )
  }
}

const isList = (spec: RevisionSpec): boolean => spec._tag === "And" || spec._tag === "Or"

const printEnd = (end: RangeEnd | undefined): string =>
  end === undefined ? "" : end._tag === "Date" ? LocalInstant.print(end.date) : print(end)
