//! Examples at the end of a command's help and manual page.

/// The examples of a command.
pub(crate) fn of(name: &str) -> Option<&'static str> {
    Some(match name {
        "create" => {
            "EXAMPLES:\n\
             \x20 sandboxd create --bundle /srv/web web-1 && sandboxd start web-1\n\
             \x20 sandboxd create --bundle /srv/web --pid-file /run/web-1.pid web-1\n\
             \x20 sandboxd create --bundle /srv/shell --console-socket /run/console.sock shell-1"
        }
        "run" => {
            "EXAMPLES:\n\
             \x20 sandboxd run --bundle /srv/web web-1            stays until it ends, with its exit status\n\
             \x20 sandboxd run --detach --bundle /srv/web web-1   returns when it runs\n\
             \x20 sandboxd run --keep --bundle /srv/job job-1     its state stays, until delete"
        }
        "exec" => {
            "EXAMPLES:\n\
             \x20 sandboxd exec web-1 ps\n\
             \x20 sandboxd exec --tty web-1 sh\n\
             \x20 sandboxd exec --user 1000:1000 --cwd /srv --env A=b web-1 id"
        }
        "kill" => {
            "EXAMPLES:\n\
             \x20 sandboxd kill web-1\n\
             \x20 sandboxd kill web-1 HUP\n\
             \x20 sandboxd kill --all web-1 KILL\n\
             \x20 sandboxd kill --regex '^web-' TERM"
        }
        "delete" => {
            "EXAMPLES:\n\
             \x20 sandboxd delete web-1\n\
             \x20 sandboxd delete --force web-1\n\
             \x20 sandboxd delete --force --regex '^test-'"
        }
        "list" => {
            "EXAMPLES:\n\
             \x20 sandboxd list\n\
             \x20 sandboxd list --quiet\n\
             \x20 sandboxd --root /run/containerd/runc/k8s.io list --format json"
        }
        "ps" => "EXAMPLES:\n\x20 sandboxd ps web-1\n\x20 sandboxd ps web-1 -o pid,rss,args",
        "update" => {
            "EXAMPLES:\n\
             \x20 sandboxd update --memory 512M --memory-swap 1G web-1\n\
             \x20 sandboxd update --cpu-quota 50000 --cpu-period 100000 web-1\n\
             \x20 echo '{\"pids\": {\"limit\": 100}}' | sandboxd update --resources - web-1"
        }
        "mounts" => {
            "EXAMPLES:\n\
             \x20 echo '[{\"destination\": \"/data\", \"type\": \"bind\", \"source\": \"/srv/data\", \"options\": [\"rbind\", \"ro\"]}]' >data.json\n\
             \x20 sandboxd mounts add web-1 data.json\n\
             \x20 sandboxd mounts remove web-1 data.json\n\
             \x20 echo '[{\"destination\": \"/data\"}]' | sandboxd mounts remove web-1 -"
        }
        "checkpoint" => {
            "EXAMPLES:\n\
             \x20 sandboxd checkpoint --image-path /var/tmp/web-1 web-1\n\
             \x20 sandboxd checkpoint --leave-running --tcp-established --image-path /var/tmp/web-1 web-1"
        }
        "restore" => {
            "EXAMPLES:\n\
             \x20 sandboxd restore --image-path /var/tmp/web-1 --bundle /srv/web --detach web-1"
        }
        "spec" => "EXAMPLES:\n\x20 sandboxd spec --bundle /srv/web\n\x20 sandboxd spec --rootless",
        "plan" => {
            "EXAMPLES:\n\
             \x20 sandboxd plan --bundle /srv/web\n\
             \x20 sandboxd plan --bundle /srv/web --format json | jq '.steps[].step'"
        }
        "completion" => {
            "EXAMPLES:\n\
             \x20 sandboxd completion bash >/usr/share/bash-completion/completions/sandboxd\n\
             \x20 sandboxd completion zsh >/usr/share/zsh/site-functions/_sandboxd\n\
             \x20 sandboxd completion fish >/usr/share/fish/vendor_completions.d/sandboxd.fish"
        }
        _ => return None,
    })
}
