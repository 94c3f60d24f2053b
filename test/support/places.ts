/**
 * Directories on real file systems, for contract suites: every suite runs in each of these places.
 */
import { afterAll, beforeAll, describe } from "@effect/vitest"
import * as FS from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type FileSystemKind, loopMount, whyNot } from "./loopMount.ts"

/** A place of a suite. */
export interface Place {
  /** A new empty directory; call it in a test, not outside. */
  readonly directory: () => string
  /** Makes the place's file system read-only, or writable again; `undefined` where it is not ours. */
  readonly remount: ((options: "ro" | "rw") => void) | undefined
}

/** Runs `suite` in a directory below the system's temporary directory. */
export const inTemporaryDirectory = (suite: (place: Place) => void): void => {
  describe("in a temporary directory", () => {
    let base = ""
    beforeAll(() => {
      base = FS.mkdtempSync(join(tmpdir(), "backy-test-"))
    })
    afterAll(() => FS.rmSync(base, { recursive: true, force: true }))
    suite({ directory: () => FS.mkdtempSync(join(base, "case-")), remount: undefined })
  })
}

/** Runs `suite` on a file system of this kind, made for it; or says why that cannot be done here. */
const onFileSystem = (kind: FileSystemKind, suite: (place: Place) => void): void => {
  const reason = whyNot(kind)
  describe.skipIf(reason !== undefined)(`on ${kind}${reason === undefined ? "" : ` (skipped: ${reason})`}`, () => {
    let mount: ReturnType<typeof loopMount> | undefined
    const mounted = () => {
      if (mount === undefined) throw new Error(`${kind} is not mounted`)
      return mount
    }
    beforeAll(() => {
      mount = loopMount(kind)
    }, 60_000)
    afterAll(() => mount?.unmount(), 60_000)
    suite({
      directory: () => FS.mkdtempSync(join(mounted().path, "case-")),
      remount: (options) => mounted().remount(options)
    })
  })
}

/** Runs `suite` in all places: a temporary directory, ext4, XFS, btrfs. */
export const everywhere = (suite: (place: Place) => void): void => {
  inTemporaryDirectory(suite)
  for (const kind of ["ext4", "xfs", "btrfs"] as const) onFileSystem(kind, suite)
}
