Console.WriteLine("biosup");
return 0;
