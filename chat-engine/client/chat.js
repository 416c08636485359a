// placeholder: the browser client is not built in yet
