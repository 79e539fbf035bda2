# Completes the command line of oicp-adapter(1) in fish: the program itself is asked what fits.
function __oicp_adapter_complete
    set -lx _OICP_ADAPTER_COMPLETE complete_fish
    set -lx _TYPER_COMPLETE_FISH_ACTION $argv[1]
    set -lx _TYPER_COMPLETE_ARGS (commandline -cp)
    oicp-adapter 2>/dev/null
end
complete --command oicp-adapter --no-files --condition "__oicp_adapter_complete is-args" --arguments "(__oicp_adapter_complete get-args)"
