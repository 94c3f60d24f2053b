/**
 * YAML text to plain values and back: the safe core of YAML 1.2 with bounds, whoever wrote the file. The only module
 * of the domain that knows the `yaml` package; it is as pure as the rest.
 */
import { isNonEmptyReadonlyArray, map as mapNonEmpty } from "effect/Array"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import { Document, isAlias, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from "yaml"
import type { Alias, Node, Pair, ScalarTag, Tags, YAMLError, YAMLMap } from "yaml"
import { escaped, isUnsafe } from "./printable.ts"
import * as Timestamp from "./Timestamp.ts"

/** One mistake, and the line (from 1) in which it stands. */
export interface Problem {
  readonly line: number
  readonly message: string
}

/** What the text means, and where each part of it stands. */
export interface Parsed {
  readonly value: unknown
  /** The line of the key or list item at `path`, or of the nearest thing around it that exists. */
  readonly lineOf: (path: ReadonlyArray<PropertyKey>) => number
}

export interface ParseOptions {
  /** Longer texts are refused unread. Default: 512 KiB. */
  readonly maxLength?: number
  /** Plain scalars that look like instants become `Timestamp`, so that a rewrite leaves them as they were. */
  readonly timestamps?: boolean
}

const MAX_LENGTH = 512 * 1024
/** Nesting beyond this exhausts the stack inside the parser, which in V8 can end the whole process. */
const MAX_DEPTH = 64
const MAX_PREFIX = 128
/** Quotes, brackets and sigils cost the parser a hundred times what text costs. No real file has so many. */
const MAX_INDICATORS = 50_000
/** What aliases may unfold to. A bomb unfolds to billions. */
const MAX_NODES = 100_000
const MAX_PROBLEMS = 20

/**
 * Reads one document. Every problem of syntax is reported, each with its line; tags, control characters, duplicate
 * keys, unknown anchors and what would exhaust memory are problems, too. Never throws.
 */
export const parse = (
  text: string,
  options: ParseOptions = {}
): Either.Either<Parsed, NonEmptyReadonlyArray<Problem>> => {
  const maxLength = options.maxLength ?? MAX_LENGTH
  if (text.length > maxLength) {
    return Either.left([{ line: 1, message: `the file is larger than ${Math.floor(maxLength / 1024)} KiB` }])
  }
  const harmful = findHarm(text)
  if (harmful !== undefined) return Either.left([harmful])
  const lines = new LineCounter()
  const document = parseDocument(text, {
    schema: "core",
    version: "1.2",
    resolveKnownTags: false,
    // Comparing all keys with each other is quadratic; the walk below does it with a set.
    uniqueKeys: false,
    intAsBigInt: true,
    prettyErrors: false,
    logLevel: "error",
    lineCounter: lines
  })
  const mistakes = [...document.errors, ...document.warnings].slice(0, MAX_PROBLEMS)
  if (isNonEmptyReadonlyArray(mistakes)) {
    return Either.left(mapNonEmpty(mistakes, (mistake) => ({
      line: lines.linePos(mistake.pos[0]).line,
      message: sentence(mistake, text)
    })))
  }
  const walk = new Walk(lines, options.timestamps ?? false)
  const root = walk.value(document.contents, 1, 0)
  const problems = walk.problems.slice(0, MAX_PROBLEMS)
  return isNonEmptyReadonlyArray(problems)
    ? Either.left(problems)
    : Either.right({ value: root.plain, lineOf: (path) => lineOf(root, path) })
}

const sentence = (mistake: YAMLError, text: string): string => {
  if (mistake.code === "TAG_RESOLVE_FAILED") return `the tag ${text.slice(...mistake.pos)} is not allowed here`
  if (mistake.code === "MULTIPLE_DOCS") return "a second document begins here, but a file holds one"
  return mistake.message.charAt(0).toLowerCase() + mistake.message.slice(1)
}

/** Block style, sorted keys, no line folding, and nothing that YAML 1.1 (the ancestor's) would read as another type. */
export const stringify = (value: unknown): string =>
  escaped(new Document(value, {
    schema: "core",
    compat: "yaml-1.1",
    sortMapEntries: true,
    aliasDuplicateObjects: false,
    customTags: (tags): Tags => [timestampTag, exponentTag, indicatorTag, unsafeTag, ...tags]
  }).toString({ lineWidth: 0, indentSeq: false, singleQuote: true, nullStr: "null" }))

const timestampTag: ScalarTag = {
  tag: "tag:yaml.org,2002:timestamp",
  default: true,
  identify: (value) => value instanceof Timestamp.Timestamp,
  resolve: (text) => text,
  // `identify` lets nothing else in.
  stringify: (node) => (node.value as Timestamp.Timestamp).text
}

/** YAML 1.1 wants a dot in a float: it reads `1e-7` as text. */
const exponentTag: ScalarTag = {
  tag: "tag:yaml.org,2002:float",
  default: true,
  identify: (value) => typeof value === "number" && /^-?\d+e/.test(String(value)),
  // Of several tags that fit a value the stringifier takes the one with a test.
  test: /^-?\d+e/,
  resolve: (text) => text,
  stringify: (node) => String(node.value).replace("e", ".0e")
}

/** Two words that YAML 1.1 takes for more than text. Its only use is that the stringifier quotes what it fits. */
const indicatorTag: ScalarTag = {
  tag: "tag:yaml.org,2002:value",
  default: true,
  test: /^(?:=|<<)$/,
  resolve: (text) => text
}

/** Text that must not reach a terminal as it is: in double quotes it can be escaped. */
const unsafeTag: ScalarTag = {
  tag: "tag:yaml.org,2002:str",
  default: true,
  identify: (value) => typeof value === "string" && isUnsafe(value.replaceAll("\n", "")),
  resolve: (text) => text,
  // what JSON leaves as it is, `escaped` does not
  stringify: (node) => JSON.stringify(node.value)
}

/** A value and the lines of what is in it. */
interface Located {
  readonly plain: unknown
  readonly line: number
  readonly children: ReadonlyMap<PropertyKey, Located>
}

const lineOf = (root: Located, path: ReadonlyArray<PropertyKey>): number => {
  let at = root
  for (const key of path) {
    const next = at.children.get(key)
    if (next === undefined) break
    at = next
  }
  return at.line
}

/** One walk over a document: nodes to plain values, problems and the budget on the side. */
class Walk {
  readonly problems: Array<Problem> = []
  private readonly lines: LineCounter
  private readonly timestamps: boolean
  private readonly anchors = new Map<string, Node>()
  private readonly anchored = new Set<Node>()
  private readonly targets = new Map<Alias, Node>()
  private budget = MAX_NODES

  constructor(lines: LineCounter, timestamps: boolean) {
    this.lines = lines
    this.timestamps = timestamps
  }

  value(node: unknown, line: number, depth: number): Located {
    const leaf = (plain: unknown): Located => ({ plain, line, children: new Map() })
    if (this.budget-- <= 0 || depth > MAX_DEPTH) {
      if (this.budget > -2) this.problem(line, "aliases or nesting make this file too large to read")
      this.budget = -2
      return leaf(undefined)
    }
    if (isAlias(node)) {
      const target = this.target(node)
      if (target !== undefined) return this.value(target, line, depth + 1)
      this.problem(line, `there is no anchor "${node.source}" for this alias`)
      return leaf(undefined)
    }
    if (isNode(node) && node.anchor !== undefined && !this.anchored.has(node)) {
      this.anchored.add(node)
      this.anchors.set(node.anchor, node)
    }
    if (isMap(node)) return this.map(node, line, depth)
    if (isSeq(node)) {
      const children = new Map(
        node.items.map((item, index) => [index, this.value(item, this.lineOfNode(item) ?? line, depth + 1)] as const)
      )
      return { plain: Array.from(children.values(), (child) => child.plain), line, children }
    }
    return leaf(isScalar(node) ? this.scalar(node.value, node.type) : null)
  }

  /** The walk meets anchors in the order of the file, so the anchor of the first look at an alias is the right one. */
  private target(alias: Alias): Node | undefined {
    const target = this.targets.get(alias) ?? this.anchors.get(alias.source)
    if (target !== undefined) this.targets.set(alias, target)
    return target
  }

  private scalar(value: unknown, type: string | undefined): unknown {
    if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value
    const isInstant = this.timestamps && type === "PLAIN" && typeof value === "string" && Timestamp.PLAIN.test(value)
    return isInstant ? new Timestamp.Timestamp(value) : value
  }

  private map(node: YAMLMap, line: number, depth: number): Located {
    const own = new Map<string, Located>()
    const merged = new Map<PropertyKey, Located>()
    for (const pair of node.items) {
      const at = this.lineOfNode(pair.key) ?? line
      const key = this.key(pair, at)
      if (key === undefined) continue
      const child = this.value(pair.value, at, depth + 1)
      if (key === "<<" && isScalar(pair.key) && pair.key.type === "PLAIN") this.merge(child, merged)
      else if (own.has(key)) this.problem(at, `the key "${key}" stands twice in the same place`)
      else own.set(key, child)
    }
    // What a map says itself outranks what it merges, wherever the merge stands.
    const children = new Map<PropertyKey, Located>([...merged, ...own])
    return { plain: Object.fromEntries(Array.from(children, ([key, child]) => [key, child.plain])), line, children }
  }

  private key(pair: Pair, line: number): string | undefined {
    const { key } = pair
    // Job names may look like numbers; what was written counts, not what YAML makes of it.
    const text = isScalar(key) ? key.source ?? String(key.value) : undefined
    if (text !== undefined && text !== "" && text !== "__proto__") return text
    this.problem(line, "expected a plain word as key")
    return undefined
  }

  /** `<<: *defaults`: YAML 1.1 has it, and files written for the ancestor may use it. */
  private merge(from: Located, into: Map<PropertyKey, Located>): void {
    const sources = Array.isArray(from.plain) ? Array.from(from.children.values()) : [from]
    for (const source of sources) {
      if (!Predicate.isRecord(source.plain)) this.problem(from.line, "\"<<\" merges maps only")
      for (const [key, child] of source.children) if (!into.has(key)) into.set(key, child)
    }
  }

  private lineOfNode(node: unknown): number | undefined {
    // Parsed nodes have a range; the types allow for made ones, which have none.
    const range = (node as Node | null)?.range
    return range ? this.lines.linePos(range[0]).line : undefined
  }

  private problem(line: number, message: string): void {
    this.problems.push({ line, message })
  }
}

// oxlint-disable-next-line no-control-regex -- finding control characters is the point
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/

/** What must not reach the parser at all. One pass, no recursion. */
const findHarm = (text: string): Problem | undefined => {
  let line = 1
  let depth = 0
  let indicators = 0
  for (const content of text.split("\n")) {
    if (CONTROL.test(content)) return { line, message: "there is a control character in this line" }
    if (/^[-?:\s]*/.exec(content)![0].length > MAX_PREFIX) return { line, message: "this is nested too deeply" }
    for (const [indicator] of content.matchAll(/[[\]{}"'&*!,]/g)) {
      indicators++
      if (indicator === "[" || indicator === "{") depth++
      if (indicator === "]" || indicator === "}") depth--
      if (depth > MAX_DEPTH) return { line, message: "this is nested too deeply" }
    }
    if (indicators > MAX_INDICATORS) return { line, message: "there are too many quotes and brackets up to here" }
    line++
  }
  return undefined
}
