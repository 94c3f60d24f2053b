/**
 * Who asks, and where: from the environment and from the files of AWS's own tools, by the names that those use. A file
 * with secrets that others may read is refused.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Config from "effect/Config"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { homedir } from "node:os"
import { fromPlatform, isMissing } from "../platform/IoError.ts"
import { variable } from "../platform/variable.ts"
import * as Ini from "./ini.ts"

/** Who asks a store. */
export interface Credentials {
  readonly accessKey: Redacted.Redacted
  readonly secretKey: Redacted.Redacted
  readonly sessionToken: Option.Option<Redacted.Redacted>
}

/** Where a store is. */
export interface Place {
  /** `https://HOST[:PORT][/PATH]`, without a `/` at its end. */
  readonly endpoint: string
  readonly region: string
}

/** There are no credentials, or they cannot be used. No secret is ever part of it. */
export class CredentialsUnusable extends Data.TaggedError("CredentialsUnusable")<{ readonly reason: string }> {
  override get message() {
    return this.reason
  }
}

const MAX_FILE = 1024 * 1024

/** A variable that may be absent, and is so when it is empty. */
const given = (name: string): Effect.Effect<Option.Option<string>> =>
  Effect.map(variable(name, ""), (value) => value === "" ? Option.none() : Option.some(value))

const secret = (name: string): Effect.Effect<Option.Option<Redacted.Redacted>> =>
  // A text can only be absent: no error is left.
  Effect.orDie(Config.option(Config.redacted(name))).pipe(
    Effect.map(Option.filter((value) => Redacted.value(value) !== ""))
  )

type Section = ReadonlyMap<string, string>

const SECRETS = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"]

const readText = Effect.fnUntraced(function*(path: string) {
  const files = yield* FileSystem.FileSystem
  const { mode, size, type } = yield* files.stat(path)
  // a pipe may never say anything, a device never end
  if (type !== "File") return yield* new CredentialsUnusable({ reason: `${path} is no regular file` })
  if (size > MAX_FILE) return yield* new CredentialsUnusable({ reason: `${path} is larger than 1 MiB` })
  return { mode, text: yield* files.readFileString(path) }
})

/** The section of the profile in a file, if there is one. */
const sectionOf = Effect.fnUntraced(function*(path: string, names: ReadonlyArray<string>) {
  const read = yield* readText(path).pipe(
    Effect.asSome,
    Effect.catchIf(
      (error) => error._tag !== "CredentialsUnusable",
      (error) => {
        const failure = fromPlatform(error, path)
        return isMissing(failure) ? Effect.succeedNone : new CredentialsUnusable({ reason: failure.message })
      }
    )
  )
  if (Option.isNone(read)) return Option.none<Section>()
  const sections = Ini.parse(read.value.text)
  const section = names.map((name) => sections.get(name)).find((found) => found !== undefined)
  if (section !== undefined && SECRETS.some((key) => section.has(key)) && (read.value.mode & 0o077) !== 0) {
    return yield* new CredentialsUnusable({
      reason: `${path} holds secret keys and others may read it: chmod 600 ${path}`
    })
  }
  return Option.fromNullable(section)
})

/** What the two files say of the profile: the credentials' file counts before the config file. */
const profile = Effect.gen(function*() {
  const chosen = yield* given("AWS_PROFILE")
  const name = Option.getOrElse(chosen, () => "default")
  const credentialsFile = yield* variable("AWS_SHARED_CREDENTIALS_FILE", `${homedir()}/.aws/credentials`)
  const configFile = yield* variable("AWS_CONFIG_FILE", `${homedir()}/.aws/config`)
  const sections = [
    yield* sectionOf(credentialsFile, [name]),
    yield* sectionOf(configFile, name === "default" ? ["default", "profile default"] : [`profile ${name}`])
  ].flatMap(Option.toArray)
  if (Option.isSome(chosen) && sections.length === 0) {
    return yield* new CredentialsUnusable({
      reason: `neither ${credentialsFile} nor ${configFile} has the profile that AWS_PROFILE names`
    })
  }
  return { sections, files: [credentialsFile, configFile] }
})

const valueIn = (sections: ReadonlyArray<Section>, key: string): Option.Option<string> =>
  Option.fromNullable(sections.map((section) => section.get(key)).find((value) => value !== undefined && value !== ""))

/**
 * The credentials: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` (and `AWS_SESSION_TOKEN`), or those of the profile.
 * Read anew each time, since they may have been renewed.
 */
export const credentials: Effect.Effect<Credentials, CredentialsUnusable, FileSystem.FileSystem> = Effect.gen(
  function*() {
    const accessKey = yield* secret("AWS_ACCESS_KEY_ID")
    const secretKey = yield* secret("AWS_SECRET_ACCESS_KEY")
    if (Option.isSome(accessKey) && Option.isSome(secretKey)) {
      const sessionToken = yield* secret("AWS_SESSION_TOKEN")
      return { accessKey: accessKey.value, secretKey: secretKey.value, sessionToken }
    }
    if (Option.isSome(accessKey) !== Option.isSome(secretKey)) {
      return yield* new CredentialsUnusable({
        reason: "only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set: both are needed"
      })
    }
    const { files, sections } = yield* profile
    // all of it from one place: a key of one file and a secret of another do not belong together
    for (const section of sections) {
      const [id, key, token] = SECRETS.map((name) => valueIn([section], name))
      if (id?._tag === "Some" && key?._tag === "Some") {
        return {
          accessKey: Redacted.make(id.value),
          secretKey: Redacted.make(key.value),
          sessionToken: Option.map(token ?? Option.none(), (value) => Redacted.make(value))
        }
      }
    }
    return yield* new CredentialsUnusable({
      reason: `there are no credentials for the object store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or put ${
        SECRETS.slice(0, 2).join(" and ")
      } into ${files[0]}`
    })
  }
)

/** Where the store is: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` or the profile's, else Amazon's in the region. */
export const place: Effect.Effect<Place, CredentialsUnusable, FileSystem.FileSystem> = Effect.gen(function*() {
  const { sections } = yield* profile
  const inEnvironment = yield* Effect.forEach(["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"], given)
  const regions = yield* Effect.forEach(["AWS_REGION", "AWS_DEFAULT_REGION"], given)
  const region = Option.firstSomeOf([...regions, valueIn(sections, "region")]).pipe(
    Option.getOrElse(() => "us-east-1")
  )
  if (!/^[A-Za-z0-9-]{1,64}$/.test(region)) {
    return yield* new CredentialsUnusable({ reason: `the region ${JSON.stringify(region)} is none` })
  }
  const endpoint = Option.firstSomeOf([...inEnvironment, valueIn(sections, "endpoint_url")]).pipe(
    Option.getOrElse(() => `https://s3.${region}.amazonaws.com`)
  )
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  const usable = url !== undefined && /^https?:$/.test(url.protocol) &&
    url.username === "" && url.password === "" && url.search === "" && url.hash === ""
  return usable
    ? { endpoint: url.href.replace(/\/+$/, ""), region }
    // not the text itself: people put passwords into such addresses
    : yield* new CredentialsUnusable({
      reason: "the endpoint of the object store has to be of the form https://HOST[:PORT], and nothing else in it"
    })
})
