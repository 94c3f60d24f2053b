# The quickstart, with the program as nix built it.
{
  runCommand,
  backy,
  nodejs_24,
}:
runCommand "backy-quickstart" { nativeBuildInputs = [ nodejs_24 ]; } ''
  mkdir docs dist
  cp ${../docs/quickstart.ts} docs/quickstart.ts
  ln -s ${backy}/bin/backy dist/backy
  node docs/quickstart.ts --clean
  touch $out
''
