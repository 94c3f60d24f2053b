import { isNonEmptyReadonlyArray, map as mapNonEmpty } from "effect/Array"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Order from "effect/Order"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as AST from "effect/SchemaAST"
import { hint } from "../domain/closest.ts"
import * as Yaml from "../domain/Yaml.ts"
import type { Problem } from "./ConfigError.ts"
import { ConfigInvalid } from "./ConfigError.ts"

/** A thousand jobs take a tenth of it. */
export const MAX_LENGTH = 4 * 1024 * 1024

/** A mistake that no schema can see, found in the plain value of the file. */
export type Finding = Omit<Problem, "line">

/**
 * Reads the text of a config file by a schema and by `check`, which sees the file as plain values whatever the schema
 * thinks of them. Every mistake that either finds is in the error, each with its line; unknown keys are mistakes.
 */
export const decodeYaml = <A, I>(options: {
  readonly file: string
  readonly text: string
  readonly schema: Schema.Schema<A, I>
  readonly check?: (value: unknown) => ReadonlyArray<Finding>
}): Either.Either<A, ConfigInvalid> => {
  const { check, file, schema, text } = options
  const parsed = Yaml.parse(text, { maxLength: MAX_LENGTH })
  if (Either.isLeft(parsed)) {
    const problems = mapNonEmpty(parsed.left, (problem): Problem => ({ ...problem, path: [] }))
    return Either.left(new ConfigInvalid({ file, problems }))
  }
  const { lineOf, value } = parsed.right
  const decoded = ParseResult.decodeUnknownEither(schema)(value, { errors: "all", onExcessProperty: "error" })
  const found = [...Either.isLeft(decoded) ? findings(decoded.left) : [], ...check?.(value) ?? []]
  const problems = found.map((finding): Problem => ({ ...finding, line: lineOf(finding.path) })).sort(byLine)
  if (isNonEmptyReadonlyArray(problems)) return Either.left(new ConfigInvalid({ file, problems }))
  // An issue always gives a finding, so whoever comes here has a value.
  return Either.mapLeft(
    decoded,
    () => new ConfigInvalid({ file, problems: [{ line: 1, path: [], message: "this is no config file" }] })
  )
}

const byLine = Order.mapInput(Order.number, (problem: Problem) => problem.line)

/**
 * What the issues of a schema say, one finding each. Not the library's formatter: that does not tell which keys there
 * are besides an unknown one, and it prints values, among which may be secrets.
 */
const findings = (
  issue: ParseResult.ParseIssue,
  path: ReadonlyArray<PropertyKey> = [],
  enclosing?: AST.AST
): ReadonlyArray<Finding> => {
  switch (issue._tag) {
    case "Pointer":
      return findings(issue.issue, path.concat(issue.path), enclosing)
    case "Composite":
      if (!AST.isTypeLiteral(issue.ast) && !AST.isTupleType(issue.ast)) break
      return many(issue.issues).flatMap((inner) => findings(inner, path, issue.ast))
    case "Refinement":
    case "Transformation":
      if (Option.isSome(AST.getMessageAnnotation(issue.ast))) break
      return findings(issue.issue, path, enclosing)
    case "Unexpected":
      return [{ path, message: aboutKey(String(path.at(-1)), enclosing) }]
    case "Missing":
      return [{ path, message: "is missing" }]
    case "Type":
      if (issue.message !== undefined || Option.isSome(AST.getMessageAnnotation(issue.ast))) break
      return [{ path, message: `expected ${kindOf(issue.ast)}` }]
    case "Forbidden":
  }
  return ParseResult.ArrayFormatter.formatIssueSync(issue).map(({ message, path: rest }) => ({
    path: path.concat(rest),
    message
  }))
}

const many = (issues: ParseResult.SingleOrNonEmpty<ParseResult.ParseIssue>): ReadonlyArray<ParseResult.ParseIssue> =>
  "_tag" in issues ? [issues] : issues

/** What is wrong with a key: among fixed keys it is unknown, among free ones its name is not allowed. */
const aboutKey = (key: string, enclosing: AST.AST | undefined): string => {
  if (enclosing === undefined || !AST.isTypeLiteral(enclosing)) return `there is no key "${key}" here`
  const [signature] = enclosing.indexSignatures
  if (signature === undefined) {
    const known = enclosing.propertySignatures.map((property) => String(property.name))
    return `there is no key "${key}" here${hint(key, known)}`
  }
  return Either.match(ParseResult.decodeUnknownEither(Schema.make(signature.parameter))(key), {
    onLeft: (issue) => findings(issue)[0]?.message ?? "this key is not allowed here",
    onRight: () => "this key is not allowed here"
  })
}

const kinds: Readonly<Partial<Record<AST.AST["_tag"], string>>> = {
  TypeLiteral: "keys and values",
  TupleType: "a list",
  StringKeyword: "text",
  NumberKeyword: "a number"
}

const kindOf = (ast: AST.AST): string =>
  AST.isLiteral(ast) ? JSON.stringify(ast.literal) : kinds[ast._tag] ?? "something else"
