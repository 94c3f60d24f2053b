/**
 * Completion scripts. Those of @effect/cli know neither commands behind `-b DIR` nor commands of commands; these are
 * made of the same words that the command line is parsed with, and offer the ids of revisions, too.
 */
import type { Grammar } from "./argv.ts"

/** The shells that there is a script for. */
export const shells = ["bash", "fish", "zsh"] as const

/** A command by its words, as `backy tags set`. */
interface Place {
  readonly path: string
  readonly grammar: Grammar
}

const placesOf = (path: string, grammar: Grammar): ReadonlyArray<Place> => [
  { path, grammar },
  ...[...grammar.commands].flatMap(([name, inner]) => placesOf(`${path} ${name}`, inner))
]

/** What is offered for the values of options; for others, file names. */
const values: Readonly<Record<string, string>> = {
  "--revision": "latest first all clean $(backy \"${where[@]}\" find -r all --uuid 2>/dev/null)",
  "--completions": shells.join(" "),
  "--log-level": "all debug info warning error none"
}

const bash = (places: ReadonlyArray<Place>, root: Grammar): ReadonlyArray<string> => {
  const options = (grammar: Grammar) => new Map([...root.options, ...root.builtIn, ...grammar.options])
  return [
    "_backy() {",
    "    local cur=${COMP_WORDS[COMP_CWORD]} path=backy value= words= i word",
    "    local -a where=()",
    "    for ((i = 1; i < COMP_CWORD; i++)); do",
    "        word=${COMP_WORDS[i]}",
    "        if [[ -n $value ]]; then",
    "            [[ $value == --directory ]] && where=(-b \"$word\")",
    "            value=",
    "            continue",
    "        fi",
    "        case \"$path $word\" in",
    ...places.slice(1).map(({ path }) => `            "${path}") path="${path}" ;;`),
    ...places.flatMap(({ grammar, path }) =>
      [...options(grammar)].flatMap(([word, { name, takesValue }]) =>
        takesValue ? [`            "${path} ${word}") value=${name} ;;`] : []
      )
    ),
    "        esac",
    "    done",
    "    case \"$value\" in",
    ...Object.entries(values).map(([name, words]) => `        ${name}) words="${words}" ;;`),
    "        \"\")",
    "            case \"$path\" in",
    ...places.map(({ grammar, path }) =>
      `                "${path}") [[ $cur == -* ]] && words="${[...options(grammar).keys()].join(" ")}" || words="${
        [...grammar.commands.keys()].join(" ")
      }" ;;`
    ),
    "            esac ;;",
    "    esac",
    "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))",
    "}",
    // where nothing is offered, file names are
    "complete -o default -F _backy backy"
  ]
}

const quote = (text: string) => `'${text.replaceAll(/['\\]/g, "\\$&")}'`

/** An option as fish wants it told, with what is offered for its value. */
const form = (word: string, { name, takesValue }: { readonly name: string; readonly takesValue: boolean }): string => {
  const words = name === "--revision" ? "(__backy_revisions)" : values[name]
  return (word.startsWith("--") ? `-l ${word.slice(2)}` : `-s ${word.slice(1)}`) + (takesValue ? " -r" : "") +
    (words === undefined ? "" : ` -f -a ${quote(words)}`)
}

const fish = (places: ReadonlyArray<Place>, root: Grammar): ReadonlyArray<string> => {
  return [
    "function __backy_at",
    "    set -l path backy",
    "    set -l value",
    "    for word in (commandline -opc)[2..-1]",
    "        if test -n \"$value\"",
    "            set value ''",
    "            continue",
    "        end",
    "        switch \"$path $word\"",
    ...places.slice(1).map(({ path }) => `            case ${quote(path)}\n                set path ${quote(path)}`),
    ...places.flatMap(({ grammar, path }) =>
      [...root.options, ...root.builtIn, ...grammar.options].flatMap(([word, { takesValue }]) =>
        takesValue ? [`            case ${quote(`${path} ${word}`)}\n                set value yes`] : []
      )
    ),
    "        end",
    "    end",
    // a value of an option is no place for a command
    "    test \"$path\" = \"$argv[1]\" -a \\( -z \"$value\" -o \"$argv[2]\" = options \\)",
    "end",
    "function __backy_revisions",
    "    set -l where",
    "    set -l words (commandline -opc)",
    "    for at in (seq 2 (count $words))",
    "        contains -- $words[$at] -b --directory; and set where -b $words[(math $at + 1)]",
    "    end",
    "    string split ' ' 'latest first all clean'",
    "    backy $where find -r all --uuid 2>/dev/null",
    "end",
    ...[...root.options, ...root.builtIn].map(([word, option]) => `complete -c backy ${form(word, option)}`),
    ...places.flatMap(({ grammar, path }) => {
      const at = (what: string) => `complete -c backy -n ${quote(`__backy_at ${quote(path)}${what}`)}`
      return [
        ...[...grammar.commands].map(([name, inner]) =>
          `${at("")} -f -a ${name} -d ${quote(inner.describe().summary)}`
        ),
        ...path === "backy"
          ? []
          : [...grammar.options].map(([word, option]) => `${at(" options")} ${form(word, option)}`)
      ]
    })
  ]
}

/** The script for a shell. */
export const script = (shell: (typeof shells)[number], root: Grammar): string => {
  const places = placesOf("backy", root)
  switch (shell) {
    case "bash":
      return bash(places, root).join("\n")
    case "fish":
      return fish(places, root).join("\n")
    case "zsh":
      // zsh runs completions that were written for bash
      return [
        "#compdef backy",
        "autoload -U +X bashcompinit && bashcompinit",
        ...bash(places, root),
        // from a directory of fpath this very text is the first completion, and has to answer
        "[[ $funcstack[1] == _backy ]] && _bash_complete -o default -F _backy || true"
      ].join("\n")
  }
}
