/** Programs that do a part of the work and nothing else: what the machine can do. */
import type { Command } from "./measure.ts"
import type { Operation } from "./tool.ts"
import { piped } from "./tool.ts"

export interface Limit {
  readonly name: string
  readonly program: string
  /** Together with which operation it is measured. */
  readonly beside: Operation
  readonly command: Command
  /** What it writes, where it also counts until when that is on the medium. */
  readonly target?: string
}

/** The limits for an image; `folder` takes what they write. The order matters: the first makes what others read. */
export const limits = (folder: string, image: string): ReadonlyArray<Limit> => {
  const compressed = `${folder}/limit.zst`
  const zstd = (...words: ReadonlyArray<string>) => ({ argv: ["zstd", "-q", "-f", ...words] })
  return [
    {
      name: "`zstd -1 -T2`",
      program: "zstd",
      beside: "first",
      command: zstd("-1", "-T2", image, "-o", compressed)
    },
    {
      name: "`zstd -1 -T1`",
      program: "zstd",
      beside: "first",
      command: zstd("-1", "-T1", image, "-o", compressed)
    },
    { name: "`cp`", program: "cp", beside: "first", command: { argv: ["cp", image, `${folder}/limit.copy`] } },
    { name: "`zstd -d`", program: "zstd", beside: "verify", command: zstd("-d", "-c", compressed) },
    {
      name: "`zstd -d --sparse`",
      program: "zstd",
      beside: "restore",
      command: zstd("-d", "--sparse", compressed, "-o", `${folder}/limit.copy`),
      target: `${folder}/limit.copy`
    },
    { name: "`zstd -dc \\| cat`", program: "zstd", beside: "stdout", command: piped(zstd("-d", "-c", compressed)) },
    {
      name: "`b3sum`, one thread",
      program: "b3sum",
      beside: "unchanged",
      command: { argv: ["b3sum", "--num-threads", "1", image] }
    },
    {
      name: "`cat`",
      program: "cat",
      beside: "unchanged",
      command: { argv: ["sh", "-c", "exec cat \"$0\" > /dev/null", image] }
    }
  ]
}
