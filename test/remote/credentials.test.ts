import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Credentials from "../../src/remote/credentials.ts"

/** Asks in an environment of these variables, with these files beside. */
const within = <A, E>(
  effect: Effect.Effect<A, E, NodeFileSystemContext>,
  variables: Record<string, string>,
  files: Record<string, { readonly text: string; readonly mode?: number }> = {}
) =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "backy-credentials-"))),
    (directory) => {
      for (const [name, { mode = 0o600, text }] of Object.entries(files)) {
        writeFileSync(join(directory, name), text, { mode })
      }
      const environment = {
        AWS_SHARED_CREDENTIALS_FILE: join(directory, "credentials"),
        AWS_CONFIG_FILE: join(directory, "config"),
        ...variables
      }
      return effect.pipe(
        Effect.provide(NodeFileSystem.layer),
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(environment)), { pathDelim: "\0" }))
      )
    },
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
  )

type NodeFileSystemContext = typeof Credentials.credentials extends Effect.Effect<infer _A, infer _E, infer R> ? R
  : never

const plain = Effect.map(Credentials.credentials, ({ accessKey, secretKey, sessionToken }) => [
  Redacted.value(accessKey),
  Redacted.value(secretKey),
  Option.getOrUndefined(Option.map(sessionToken, Redacted.value))
])

const file = `
# people write comments
[default]
aws_access_key_id = one
aws_secret_access_key=  s/e=c+1
[ other ]
aws_access_key_id = two
aws_secret_access_key = sec2
aws_session_token = token2
`

describe("credentials", () => {
  it.effect("come from the environment first", () =>
    Effect.gen(function*() {
      const variables = { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "s" }
      assert.deepStrictEqual(yield* within(plain, variables, { credentials: { text: file } }), ["a", "s", undefined])
      assert.deepStrictEqual(yield* within(plain, { ...variables, AWS_SESSION_TOKEN: "t" }), ["a", "s", "t"])
    }))

  it.effect("come from the profile in the shared file, or in the config file", () =>
    Effect.gen(function*() {
      const credentials = { text: file }
      assert.deepStrictEqual(yield* within(plain, {}, { credentials }), ["one", "s/e=c+1", undefined])
      assert.deepStrictEqual(yield* within(plain, { AWS_PROFILE: "other" }, { credentials }), ["two", "sec2", "token2"])
      const config = { text: "[profile third]\naws_access_key_id = three\naws_secret_access_key = sec3\n" }
      assert.deepStrictEqual(yield* within(plain, { AWS_PROFILE: "third" }, { credentials, config }), [
        "three",
        "sec3",
        undefined
      ])
    }))

  const refused: ReadonlyArray<
    readonly [what: string, variables: Record<string, string>, files: Parameters<typeof within>[2], text: RegExp]
  > = [
    ["none at all", {}, {}, /^there are no credentials for the object store: set AWS_ACCESS_KEY_ID/],
    ["half of them", { AWS_ACCESS_KEY_ID: "a" }, {}, /^only one of AWS_ACCESS_KEY_ID/],
    ["empty ones", { AWS_ACCESS_KEY_ID: "", AWS_SECRET_ACCESS_KEY: "" }, {}, /^there are no credentials/],
    ["a profile that is nowhere", { AWS_PROFILE: "x" }, { credentials: { text: file } }, /^neither .* has the profile/],
    ["a file that others may read", {}, { credentials: { text: file, mode: 0o644 } }, /others may read it: chmod 600/],
    ["a file that the group may read", {}, { config: { text: file, mode: 0o640 } }, /others may read it: chmod 600/]
  ]
  for (const [what, variables, files, text] of refused) {
    it.effect(`are not ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(within(plain, variables, files))
        assert.match(error.message, text)
        assert.notMatch(`${error.message} ${Inspectable.format(error)}`, /s\/e=c\+1|sec2/)
      }))
  }

  it.effect("are not read from a pipe, which might never say anything", () =>
    Effect.acquireUseRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "backy-credentials-"))),
      (directory) => {
        execFileSync("mkfifo", [join(directory, "pipe")])
        return Effect.map(
          Effect.flip(within(plain, { AWS_SHARED_CREDENTIALS_FILE: join(directory, "pipe") })),
          (error) => assert.match(error.message, /is no regular file$/)
        )
      },
      (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
    ))
})

describe("where the store is", () => {
  it.effect("is said by variables, by the profile, or by Amazon's region", () =>
    Effect.gen(function*() {
      const config = { text: "[default]\nregion = eu-1\nendpoint_url = https://s3.example:8443/\n" }
      assert.deepStrictEqual(yield* within(Credentials.place, {}, { config }), {
        endpoint: "https://s3.example:8443",
        region: "eu-1"
      })
      const variables = { AWS_ENDPOINT_URL: "http://a:1", AWS_DEFAULT_REGION: "r1" }
      assert.deepStrictEqual(yield* within(Credentials.place, variables, { config }), {
        endpoint: "http://a:1",
        region: "r1"
      })
      const both = { ...variables, AWS_ENDPOINT_URL_S3: "http://b:2", AWS_REGION: "r2" }
      assert.deepStrictEqual(yield* within(Credentials.place, both), { endpoint: "http://b:2", region: "r2" })
      assert.deepStrictEqual(yield* within(Credentials.place, { AWS_REGION: "eu-2" }), {
        endpoint: "https://s3.eu-2.amazonaws.com",
        region: "eu-2"
      })
    }))

  for (const bad of ["gateway:7480", "ftp://a", "http://user:hunter2@a", "https://a?b=c", "https://a#b", "https://"]) {
    it.effect(`is not ${bad}, and the text is not repeated`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(within(Credentials.place, { AWS_ENDPOINT_URL: bad }))
        assert.match(error.message, /has to be of the form https:\/\/HOST/)
        assert.notInclude(error.message, "hunter2")
      }))
  }
})
